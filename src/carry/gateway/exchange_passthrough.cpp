// What goes through as it is. The Flight is the same as for any stream, with pieces of a body for frames: the first one
// commits, and the end of the answer's framing is its finish, since nothing in it is read that could say more.
#include <fmt/format.h>

#include <array>
#include <iterator>

#include "base/text.h"
#include "carry/gateway/connection.h"
#include "carry/gateway/exchange.h"

namespace thalweg::gateway {

using flight::Event;
using flight::Failure;

namespace {

// Of the endpoint's answer; what else its head says is between it and the gateway.
constexpr std::array<std::string_view, 8> kPassedFields = {
    "content-type", "content-disposition", "content-encoding", "content-language", "content-range", "accept-ranges",
    "etag",         "last-modified"};

// RFC 9110, section 9.2.2: to do it twice is to do it once.
bool is_idempotent(http::Method method) {
  return method == http::Method::kGet || method == http::Method::kPut || method == http::Method::kDelete;
}

}  // namespace

Result<void> Exchange::begin_passage(const Arrival& arrival) {
  question_.model = passage_->model;
  const fleet::Fleet& fleet = snapshot_->fleet();
  if (fleet.kinds_for(question_.model).has(fleet::EndpointKind::kAnthropic)) {
    words_ = inference::Surface::kAnthropicMessages;
    if (auto fields = check_anthropic_fields(); !fields) return fields;
  }
  const auto field = [&](std::string_view name) {
    for (const http::Field& each : arrival.fields) {
      if (equals_ignoring_case(each.name, name)) return each.value;
    }
    return std::string_view();
  };
  passing_ = {.method = arrival.method,
              .query = arrival.query,
              .accept = field("accept"),
              .content_type = field("content-type"),
              .content_encoding = field("content-encoding"),
              .once = !is_idempotent(arrival.method)};
  passed_path_ = arrival.path.substr(config::kPassageBase.size());
  passed_body_ = arrival.body;
  return {};
}

Result<std::unique_ptr<upstream::Attempt>> Exchange::send_passage() {
  series().request_bytes.add(passed_body_.size());
  return upstream::dispatch(std::move(*permit_),
                            upstream::Body(target_, passed_path_, passing_, {&passed_body_, 1}, passed_body_.size(),
                                           anthropic_, callers_fields_),
                            worker_.door, *this);
}

void Exchange::pass_head(const http::ResponseHead& head) {
  if (head.status >= 400) {
    form_ = AnswerForm::kRefusal;
    retry_after_ = head.field("retry-after");
    upstream_request_id_ = passed_id(head);
    passed_type_ = head.field("content-type");
    return;
  }
  // To follow it would be to send somebody's data where nobody decided, and so would be to tell the caller.
  if (head.status >= 300 && head.status != 304) return fail_attempt(Failure::kMalformed);
  form_ = AnswerForm::kPassed;
  passed_length_ = head.content_length;
  const bool has_length = head.content_length || head.status == 204 || head.status == 304;
  framing_ = has_length                                             ? Framing::kLength
             : head.until_close || connection_.minor_version() == 0 ? Framing::kClose
                                                                    : Framing::kChunked;
  passed_fields_.clear();
  for (const std::string_view name : kPassedFields) {
    const std::string_view value = head.field(name);
    if (value.data() != nullptr) fmt::format_to(std::back_inserter(passed_fields_), "{}: {}\r\n", name, value);
  }
}

std::string Exchange::passed_stream_head() {
  head_sent_ = true;
  status_ = upstream_status_;
  worker_.metrics.responses_by_class[status_ / 100].add();
  const bool closes = framing_ == Framing::kClose || !connection_.client_keeps_alive();
  return fmt::format("HTTP/1.1 {} {}\r\n{}X-Request-Id: {}\r\n{}{}{}{}\r\n", status_, reason_phrase(status_),
                     passed_fields_, question_.request.text(), dialect_fields(),
                     framing_ == Framing::kChunked ? "Transfer-Encoding: chunked\r\n"
                     : passed_length_              ? fmt::format("Content-Length: {}\r\n", *passed_length_)
                                                   : std::string(),
                     connection_.connection_field(!closes), connection_.cors_fields());
}

void Exchange::pass_body(std::string_view bytes) {
  if (bytes.empty()) return;
  const std::uint8_t slot = free_slot();
  THALWEG_CHECK(slot < kFrameSlots);
  frames_[slot].assign(bytes);
  frame_used_[slot] = true;
  series().response_bytes.add(bytes.size());
  feed({.kind = Event::Kind::kFrame,
        .attempt = flight_.attempt(),
        .slot = slot,
        .facts = {.text = true},
        .length = static_cast<std::uint32_t>(bytes.size())});
}

void Exchange::end_passage() {
  if (form_ == AnswerForm::kPassed) {
    const std::uint8_t slot = free_slot();
    frames_[slot].clear();
    frame_used_[slot] = true;
    attempt_.reset();
    feed({.kind = Event::Kind::kFrame,
          .attempt = flight_.attempt(),
          .slot = slot,
          .facts = {.finish = true, .terminator = true}});
    return;
  }
  switch (dialect::classify_refusal(upstream_status_, {})) {
    case dialect::RefusalKind::kBusy:
      return fail_attempt(Failure::kBusy);
    case dialect::RefusalKind::kCredentials:
      never_again_ = true;
      return fail_attempt(Failure::kServerError);
    default:
      return fail_attempt(upstream_status_ >= 500 ? Failure::kServerError : Failure::kRefused);
  }
}

// Word for word, but for what says that our own key is wrong there, and for one that is longer than a refusal is read.
void Exchange::refuse_as_endpoint_did(std::string_view extra_fields) {
  const bool credentials = dialect::classify_refusal(upstream_status_, {}) == dialect::RefusalKind::kCredentials;
  if (!credentials && body_.size() < dialect::kMaxReadRefusal) {
    const std::string_view slices[] = {body_};
    return send_response(upstream_status_, extra_fields, slices, body_.size(),
                         passed_type_.empty() ? "application/octet-stream" : std::string_view(passed_type_));
  }
  const std::uint16_t status = credentials ? 502 : upstream_status_;
  const std::string body =
      refusal_body(credentials ? dialect::RefusalKind::kCredentials : dialect::RefusalKind::kCaller, status);
  const std::string_view slices[] = {body};
  send_response(status, extra_fields, slices, body.size());
}

}  // namespace thalweg::gateway
