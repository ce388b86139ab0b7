// The core, compiled once for the fuzzers of the adapter; of the test kit the clock, for managers
// over its fake are not used and take long to build.
#include <roost/src.hpp>
#include <roost/testing/manual_clock.ipp>
