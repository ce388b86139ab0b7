// The Beast adapter without TLS, compiled once for all fuzzers. Not the managers over it, as
// roost/beast/src.hpp has them: clang takes minutes to optimise all of a manager with sanitizers,
// and the fuzzers use little of it.
#include <roost/beast/beast_websocket.ipp>
#include <roost/beast/conversation/deflate.ipp>
#include <roost/beast/conversation/link_conversation.ipp>
#include <roost/beast/conversation/message_reader.ipp>
#include <roost/beast/http/handshake.ipp>
#include <roost/beast/http/http.ipp>
#include <roost/beast/listening/listening.ipp>
#include <roost/beast/listening/visitor.ipp>
#include <roost/beast/transport/link.ipp>
#include <roost/beast/transport/tcp_transport.ipp>
#include <roost/beast/upgrade.ipp>
