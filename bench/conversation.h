// What is said in a benchmark: requests, answers and stream frames of a fixed size, the same bytes on every run and
// every machine. The load driver and the upstream both build them from here, so the driver can compare every byte that
// comes back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace thalweg::bench {

inline constexpr std::string_view kUpstreamModel = "bench-upstream";
inline constexpr std::size_t kFrameBytes = 200;  // one frame of a stream, "data: " and the blank line included

struct Usage {
  std::uint64_t input_tokens = 0;
  std::uint64_t output_tokens = 0;
};

enum class Delivery { kWhole, kStream };  // kStream asks for usage too (stream_options.include_usage)

/// A chat completion request of exactly `bytes` (>= 512), with fields in the order of the OpenAI Python client.
std::string chat_request(std::string_view model, std::size_t bytes, Delivery delivery);

/// The same as a request for Anthropic's Messages, with fields in the order of its Python client.
std::string messages_request(std::string_view model, std::size_t bytes, Delivery delivery);

/// A request for the vector of one text, of exactly `bytes` (>= 512).
std::string embeddings_request(std::string_view model, std::size_t bytes);

/// A request for a real engine: a long answer, greedy, streamed, at most `max_tokens`.
std::string engine_request(std::string_view model, unsigned max_tokens);

/// JSON around the one value that a gateway may change: the model's name stands between `before` and `after`.
struct AroundModel {
  std::string before;
  std::string after;
  std::string with(std::string_view model) const;
};

/// A chat completion of exactly `bytes` (>= 1024) when `kUpstreamModel` stands in it.
AroundModel chat_answer(std::size_t bytes);
Usage usage_of_answer(std::size_t bytes);
/// What such an answer says, as the inside of a JSON string.
std::string text_of_answer(std::size_t bytes);

/// Vectors as JSON numbers: an answer of exactly `bytes` (>= 1024) when `kUpstreamModel` stands in it.
AroundModel embeddings_answer(std::size_t bytes);
Usage usage_of_embeddings();

/// The frames of one stream without their "data: " and blank line: the role, `content_frames` of text, the finish
/// reason, and last the usage frame, which an upstream leaves out unless asked for it. "[DONE]" is not among them.
std::vector<AroundModel> stream_frames(std::size_t content_frames);
Usage usage_of_stream(std::size_t content_frames);
/// What its frames of text say, one after the other.
std::vector<std::string> texts_of_stream(std::size_t content_frames);

}  // namespace thalweg::bench
