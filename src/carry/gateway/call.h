// One HTTP/1.1 exchange that the calling thread waits for: what the command line asks of our own gateway, and files
// that are fetched. Never a request to an endpoint: those leave through upstream's door.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"
#include "carry/http/message.h"
#include "carry/net/client.h"

namespace thalweg::gateway {

struct Call {
  net::Address address;
  const net::TlsContext* tls = nullptr;  // needed where the address says so
  std::string request;                   // head and body; to be answered once, then the connection closes
  Duration silence_limit = 0s;           // without a byte; 0: none
  Duration limit = 0s;                   // in all; 0: none
  std::function<void(const http::ResponseHead&)> on_head;
  /// False hangs up; that is no error.
  std::function<bool(std::string_view)> on_body;
};

/// kUpstreamFailed, in words, when no whole answer came.
Result<void> call(const Call& call);

}  // namespace thalweg::gateway
