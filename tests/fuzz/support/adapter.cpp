// The Beast adapter without TLS, compiled once for all fuzzers.
#include <roost/beast/src.hpp>
#include <roost/src.hpp>
#include <roost/testing/src.hpp>
