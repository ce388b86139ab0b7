// What is no template in the adapters, once for all test programs that define
// ROOST_SEPARATE_COMPILATION; the README's programs and others use them header-only.
#include <roost/beast/tls_src.hpp>
#include <roost/src.hpp>
