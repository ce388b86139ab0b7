// What is no template in roost's adapters, compiled once for all files of a program that define
// ROOST_SEPARATE_COMPILATION. Header-only, each of them would compile it again.
#include <roost/beast/tls_src.hpp>
#include <roost/src.hpp>
