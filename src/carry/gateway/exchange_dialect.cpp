// What stands between the caller's dialect and chat completions, where it is another one.
#include "carry/dialect/messages_errors.h"
#include "carry/gateway/connection.h"
#include "carry/gateway/exchange.h"

namespace thalweg::gateway {

Result<void> Exchange::read_request(const Arrival& arrival) {
  if (arrival.surface != inference::Surface::kAnthropicMessages) return parsed_.parse(arrival.surface, arrival.body);
  if (!messages_) messages_ = std::make_unique<Messages>();
  // Written anew, about as long as it came; then it counts with the length it has.
  const auto no_room = [] {
    return thalweg::fail(ErrorCode::kOverloaded, "the gateway holds as many bytes as it may; try again shortly");
  };
  if (!held_translated_.hold(arrival.body.size())) return no_room();
  if (auto translated = messages_->request.translate(arrival.body); !translated) return translated;
  if (!held_translated_.hold(messages_->request.chat().size())) return no_room();
  return parsed_.parse(inference::Surface::kOpenAiChat, messages_->request.chat());
}

std::string Exchange::error_body(const Error& error, std::string_view parameter) const {
  if (!speaks_messages()) return dialect::error_body(error, parameter);
  return dialect::messages_error_body(dialect::status_of(error.code), error.message, question_.request.text());
}

std::string Exchange::error_frame(const Error& error) const {
  if (!speaks_messages()) return dialect::error_frame(error);
  return dialect::messages_error_event(error, question_.request.text());
}

std::string Exchange::refusal_body(dialect::RefusalKind kind, std::uint16_t status) const {
  std::string body = dialect::refusal_body(upstream_status_, body_, kind, endpoint().name);
  if (!speaks_messages()) return body;
  return dialect::messages_refusal_body(status, body, question_.request.text());
}

// Fields of the answer's head that only this dialect has.
std::string Exchange::dialect_fields() const {
  if (!speaks_messages()) return {};
  std::string fields = "request-id: " + question_.request.text() + "\r\n";
  if (messages_ && !messages_->request.dropped().empty()) {
    fields += "Thalweg-Dropped: ";
    fields += messages_->request.dropped();
    fields += "\r\n";
  }
  return fields;
}

void Exchange::begin_answer(const inference::Request& request, std::string_view shown_model) {
  answer_.begin(request, shown_model, request.delivery == inference::Delivery::kWhole);
  if (speaks_messages())
    messages_->answer.begin(question_.request.text().substr(std::string_view("req_").size()), shown_model);
}

// `text` is the frame for a chat's caller; it becomes the events for this one.
Result<void> Exchange::translate_frame(const http::SseFrame& frame, bool terminator, std::string& text) {
  text.clear();
  if (terminator) {
    messages_->answer.finish(answer_.usage(), text);
    return {};
  }
  return messages_->answer.add_chunk(frame.data, text);
}

Result<std::string> Exchange::translate_whole(std::string_view answer) {
  std::string message;
  if (auto written = messages_->answer.write_whole(answer, answer_.usage(), message); !written)
    return std::unexpected(std::move(written.error()));
  return message;
}

}  // namespace thalweg::gateway
