// What is no template in the adapters, once for all programs that define
// ROOST_SEPARATE_COMPILATION; the chat and others use them header-only.
#include <roost/beast/tls_src.hpp>
#include <roost/src.hpp>
