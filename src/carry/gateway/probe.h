// Probes: small questions to endpoints, whether they live and what they can do. They go the way of every request:
// place(), a slot, a permit, dispatch().
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "carry/gateway/snapshot.h"
#include "carry/net/shard.h"
#include "carry/upstream/dispatch.h"
#include "decide/placement/learn.h"
#include "decide/placement/place.h"

namespace thalweg::gateway {

inline constexpr std::size_t kProbeAnswerBytes = 4 * 1024 * 1024;

/// What a probe asks for.
enum class ProbeKind : std::uint8_t {
  kModels,        // GET {base}/models of an OpenAI-compatible server
  kEngineProps,   // GET /props of the engine: what its chat template can do
  kEngineHealth,  // GET /health of the engine
};

/// One probe under way; destroying it cancels it.
class Probe final : private upstream::AttemptSink, private net::TimerOwner {
 public:
  struct Finding {
    placement::Sight sight = placement::Sight::kSuccess;
    std::uint16_t status = 0;  // 0: no answer
    std::string body;          // of a 200
  };
  using OnFinding = std::function<void(EndpointIndex, ProbeKind, Finding)>;

  Probe(net::Shard& shard, upstream::Door& door, OnFinding on_finding);
  /// Sends. False, with nothing sent, when all slots are taken: an endpoint that is busy with requests needs no probe.
  bool start(ProbeKind kind, EndpointIndex endpoint, const Snapshot& snapshot, const fleet::Conditions& conditions,
             RequestId id);
  bool running() const { return attempt_ != nullptr; }

 private:
  void on_head(const http::ResponseHead& head) override;
  void on_body(std::string_view bytes) override;
  void on_batch_end() override {}
  void on_end() override;
  void on_break(upstream::Breakage breakage) override;
  void on_timer(std::uint32_t tag) override;
  void report(placement::Sight sight);

  net::Shard& shard_;
  upstream::Door& door_;
  OnFinding on_finding_;
  placement::Scratch scratch_;
  ProbeKind kind_ = ProbeKind::kModels;
  EndpointIndex endpoint_;
  std::unique_ptr<upstream::Attempt> attempt_;
  net::Timer timer_;
  Finding finding_;
};

}  // namespace thalweg::gateway
