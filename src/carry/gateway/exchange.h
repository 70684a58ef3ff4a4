// One request on its way: drives its Flight from sockets and timers. Everything that decides how the request goes is in
// the Flight and in place(); this file carries their actions out.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "carry/dialect/caller_answer.h"
#include "carry/dialect/caller_errors.h"
#include "carry/dialect/caller_request.h"
#include "carry/gateway/connection.h"
#include "carry/gateway/worker.h"
#include "carry/http/sse.h"
#include "carry/upstream/dispatch.h"
#include "decide/flight/flight.h"
#include "decide/placement/permit.h"

namespace thalweg::gateway {

/// One frame of a stream.
inline constexpr std::size_t kFrameLimit = 8 * 1024 * 1024;
/// Of an answer to ask again for.
inline constexpr std::string_view kRetrySoon = "Retry-After: 1\r\n";
inline constexpr std::string_view kFrameLimitText = "8 MiB, the most that one event of a stream may have";

/// What the connection knows of the request when its body is whole.
struct Arrival {
  inference::Surface surface;
  std::string_view body;  // holds until the exchange is over; http::kPadding readable bytes behind it
  policy::Subject subject;
  std::shared_ptr<const Snapshot> snapshot;
  UtcTime at;
  Instant at_instant;
  http::Method method;
  std::string_view path;
  std::string_view query;
  const config::Passage* passage;  // the snapshot's; null: the body is read
  upstream::AnthropicFields anthropic;
  std::span<const http::Field> fields;  // of the caller's head; hold as the body does
};

class Exchange final : private upstream::AttemptSink, private net::TimerOwner {
 public:
  explicit Exchange(Connection& connection);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  void begin(const Arrival& arrival);
  void on_client_gone();
  void on_client_progress();  // some unsent bytes are out
  void on_slot_free();
  void on_drain(Duration limit);
  bool running() const { return running_; }

 private:
  enum class AnswerForm : std::uint8_t { kNone, kStream, kWhole, kRefusal, kPassed };
  static constexpr std::size_t kFrameSlots = flight::kMaxHeldFrames + 1;

  // upstream::AttemptSink
  void on_head(const http::ResponseHead& head) override;
  void on_body(std::string_view bytes) override;
  void on_batch_end() override;
  void on_end() override;
  void on_break(upstream::Breakage breakage) override;
  void on_timer(std::uint32_t tag) override;

  void feed(const flight::Event& event);
  void fail_attempt(flight::Failure failure);
  void perform(const flight::Action& action);
  bool adopt_newest();
  void ask();
  void carry_over_attempts(const Snapshot& newest);
  bool tried_before(EndpointIndex endpoint) const;
  void wait_for_load(EndpointIndex endpoint, const Snapshot& newest);
  void leave_line();
  void dispatch();
  Result<std::unique_ptr<upstream::Attempt>> send_request();
  void emit(std::uint8_t slot);
  void deliver_whole();
  void complete(bool mark_missing);
  void fail(const flight::Action& action);
  void settle(flight::Ending ending);
  void record_failed_attempt(flight::Failure failure);
  Error error_of(const flight::Action& action) const;
  Result<void> read_request(const Arrival& arrival);
  Result<void> check_anthropic_fields() const;
  // What goes through as it is: exchange_passthrough.cpp.
  Result<void> begin_passage(const Arrival& arrival);
  Result<std::unique_ptr<upstream::Attempt>> send_passage();
  std::string_view passed_id(const http::ResponseHead& head) const;
  void pass_head(const http::ResponseHead& head);
  void pass_body(std::string_view bytes);
  void end_passage();
  void refuse_as_endpoint_did(std::string_view extra_fields);
  std::string passed_stream_head();
  void answer_at_once(std::uint16_t status, std::string_view extra_fields, std::string_view body,
                      flight::Ending ending);
  void answer_load();
  void name_unknown_model();
  void tell_times();
  std::string refusal_body(dialect::RefusalKind kind, std::uint16_t status) const;
  std::string dialect_fields() const;
  enum class Last : std::uint8_t { kNo, kYes };
  std::string stream_head();
  void flush_batch(Last last = Last::kNo);
  void send_response(std::uint16_t status, std::string_view extra_fields, std::span<const std::string_view> body,
                     std::size_t body_size, std::string_view content_type = "application/json");
  void read_stream(std::string_view bytes);
  flight::Failure failure_of_error(std::string_view data) const;
  std::string_view whole_read() const { return lent_.empty() ? std::string_view(body_) : lent_; }
  bool keep(std::string_view bytes);
  std::size_t held_of_stream() const;
  std::uint8_t free_slot() const;
  void conclude();
  fleet::Target target() const { return target_; }
  const fleet::Endpoint& endpoint() const;
  telemetry::ModelSeries& series();

  Connection& connection_;
  Worker& worker_;
  flight::Flight flight_{inference::Delivery::kWhole};
  dialect::CallerRequest caller_;
  dialect::CallerAnswer answer_;
  http::SseReader sse_;
  std::shared_ptr<const Snapshot> snapshot_;     // of the running attempt, else the one admitted under
  std::shared_ptr<const Snapshot> asked_under_;  // of the last asking
  placement::Question question_;
  std::optional<placement::Permit> permit_;
  std::unique_ptr<upstream::Attempt> attempt_;
  fleet::Target target_;
  fleet::Timeouts timeouts_;
  std::array<net::Timer, flight::kTimerCount> timers_;
  std::array<flight::Event, 8> queue_;
  std::size_t queued_ = 0;
  bool feeding_ = false;
  bool running_ = false;
  bool settled_ = false;
  bool waiting_ = false;
  bool head_sent_ = false;
  bool blocked_ = false;
  bool cut_ = false;

  AnswerForm form_ = AnswerForm::kNone;
  Framing framing_ = Framing::kLength;  // of the answer
  std::uint16_t upstream_status_ = 0;
  std::string retry_after_;
  std::string upstream_request_id_;
  std::uint64_t folded_bytes_ = 0;
  std::string body_;       // of a whole answer or a refusal
  std::string_view lent_;  // a whole answer's first bytes, where they were read: until the end of the batch
  std::string batch_;      // frames to send with the next write
  std::array<std::string, kFrameSlots> frames_;
  std::array<bool, kFrameSlots> frame_used_{};
  net::HeldBytes held_;
  net::HeldBytes held_written_;  // of the request in other dialects, while an attempt may need it
  std::string denial_;           // place()'s sentence
  std::string_view denial_parameter_;

  UtcTime arrived_{};
  Instant arrived_at_{};
  Instant dispatched_at_{};  // the running attempt
  Instant first_token_at_{};
  Instant load_began_{};                                        // none was waited for: the least instant
  inference::Surface words_ = inference::Surface::kOpenAiChat;  // whose errors the caller understands
  http::Method method_ = http::Method::kPost;
  std::string_view path_;
  const config::Passage* passage_ = nullptr;
  upstream::Passing passing_;
  std::string_view passed_path_;  // behind the endpoint's base
  std::string_view passed_body_;
  std::string passed_fields_;  // of the endpoint's answer
  std::string passed_type_;    // of its refusal
  std::optional<std::uint64_t> passed_length_;
  upstream::AnthropicFields anthropic_;
  std::span<const http::Field> callers_fields_;
  std::string deployment_path_;
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
  std::uint16_t status_ = 0;
  std::uint64_t decision_hash_ = 0;
  std::uint8_t dispatched_ = 0;  // attempts whose bytes left
  std::string failed_attempts_;  // for the access log
  ErrorCode error_ = ErrorCode::kInternal;
  std::string_view too_large_for_;  // which limit an answer broke
  bool failed_ = false;
  bool streamed_ = false;
  bool never_again_ = false;  // the endpoint of the running attempt will not serve this request
  bool recorded_ = false;     // the running attempt's failure has been noted
  std::string head_;          // of the answer
  std::vector<std::string_view> slices_;
};

}  // namespace thalweg::gateway
