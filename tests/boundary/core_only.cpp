// SPDX-License-Identifier: MIT
// The core must not pull in an adapter's library: this file is a test by compiling.
#include <roost/roost.hpp>

#if defined(BOOST_BEAST_VERSION) || defined(BOOST_BEAST_CORE_DETAIL_CONFIG_HPP) || \
    defined(BOOST_BEAST_HPP)
#error "the core includes Boost.Beast"
#endif

#if defined(HIREDIS_MAJOR) || defined(__HIREDIS_H) || defined(__HIREDIS_READ_H)
#error "the core includes hiredis"
#endif

#if defined(OPENSSL_VERSION_NUMBER) || defined(OPENSSL_OPENSSLV_H) || \
    defined(BOOST_ASIO_SSL_HPP) || defined(BOOST_ASIO_SSL_DETAIL_OPENSSL_TYPES_HPP)
#error "the core includes OpenSSL"
#endif

// The umbrella of Asio costs every user seconds; the core names what it uses.
#if defined(BOOST_ASIO_HPP)
#error "the core includes all of Asio"
#endif
