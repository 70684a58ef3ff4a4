// The event loop's types. One io_context a shard, run by one thread, with concrete executor types so that nothing is
// type-erased on the hot path.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>

namespace thalweg::net {

namespace asio = boost::asio;
using boost::system::error_code;

using Loop = asio::io_context;
using Executor = Loop::executor_type;
/// TCP and UNIX sockets alike.
using Socket = asio::basic_stream_socket<asio::generic::stream_protocol, Executor>;

}  // namespace thalweg::net
