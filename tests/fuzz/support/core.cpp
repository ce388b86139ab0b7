// The core, compiled once for the fuzzers of the adapter.
#include <roost/src.hpp>
#include <roost/testing/manual_clock.ipp>
