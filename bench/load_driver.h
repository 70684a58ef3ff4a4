// The load: connections kept alive on one epoll, one thread. In the closed loop each connection asks again when it has
// its answer, which measures what a request costs. In the open loop requests have a timetable, and a latency counts
// from the time in the table, not from when a connection was free: a stall is charged to every request that it delayed
// (no coordinated omission).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "bench/answer_check.h"
#include "bench/latency.h"

namespace thalweg::bench {

struct Plan {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  std::string unix_path;  // instead of host and port
  std::string request;    // head and body, ready to send
  Expected expected = Expected::whole(1024);
  unsigned connections = 32;
  std::uint64_t requests = 0;           // 0: until `duration` is over
  std::chrono::nanoseconds duration{};  // of sending
  double rate = 0;                      // requests per second; 0: closed loop
  std::chrono::nanoseconds patience{};  // without any byte received, the run is given up
};

struct Outcome {
  std::uint64_t sent = 0, ok = 0, errors = 0;
  std::uint64_t frames = 0;  // of streams, "[DONE]" included
  std::uint64_t reads = 0;   // receive calls that brought bytes
  std::uint64_t connects = 0;
  Usage usage;  // summed over good answers
  std::string first_error;
  double seconds = 0;                   // from the first request to the last answer
  double cpu_user = 0, cpu_system = 0;  // of this process, within `seconds`
  Latencies latency;
  Latencies first_token;  // to a stream's first text
  Latencies gap;          // between reads that brought frames of one stream
  Latencies lateness;     // open loop: how long after its time a request was sent
};

/// Runs the plan to its end. Gives up after 100 errors or when patience is over; `errors` says so.
Outcome drive(const Plan& plan);

}  // namespace thalweg::bench
