// The Beast adapter without TLS, compiled once for all fuzzers. Not the managers over it, as
// roost/beast/src.hpp has them: clang takes minutes to optimise all of a manager with sanitizers,
// and the fuzzers use little of it.
#include <roost/beast/impl/beast_websocket.ipp>
#include <roost/beast/impl/deflate.ipp>
#include <roost/beast/impl/handshake.ipp>
#include <roost/beast/impl/http.ipp>
#include <roost/beast/impl/kernel_progress.ipp>
#include <roost/beast/impl/link.ipp>
#include <roost/beast/impl/link_conversation.ipp>
#include <roost/beast/impl/listen.ipp>
#include <roost/beast/impl/message_reader.ipp>
#include <roost/beast/impl/negotiation.ipp>
#include <roost/beast/impl/read_poller.ipp>
#include <roost/beast/impl/transport.ipp>
#include <roost/beast/impl/upgrade.ipp>
