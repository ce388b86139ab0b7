// The Beast adapter without TLS, compiled once for all fuzzers.
#include <roost/beast/src.hpp>
