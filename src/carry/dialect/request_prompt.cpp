// The part of a request that becomes the prompt: messages with their parts, prompts, tools. What is counted is the
// text; what is found beside it (media, tool calls) becomes a need.
#include <fmt/format.h>

#include <algorithm>

#include "carry/dialect/request_body.h"

namespace thalweg::dialect {
namespace {

using inference::Capability;

enum class MessageField : std::uint8_t { kOther, kRole, kContent, kToolCalls, kFunctionCall, kAudio };

constexpr json::NameTable<MessageField, 5> kMessageFields{{{{"role", MessageField::kRole},
                                                            {"content", MessageField::kContent},
                                                            {"tool_calls", MessageField::kToolCalls},
                                                            {"function_call", MessageField::kFunctionCall},
                                                            {"audio", MessageField::kAudio}}}};

// What a content part is, by its type and by the member that carries its matter.
enum class Part : std::uint8_t { kText, kImage, kAudio, kFile };

constexpr json::NameTable<Part, 5> kPartTypes{{{{"text", Part::kText},
                                                {"refusal", Part::kText},
                                                {"image_url", Part::kImage},
                                                {"input_audio", Part::kAudio},
                                                {"file", Part::kFile}}}};

constexpr json::NameTable<Part, 9> kPartMatter{{{{"image_url", Part::kImage},
                                                 {"image", Part::kImage},
                                                 {"input_image", Part::kImage},
                                                 {"input_audio", Part::kAudio},
                                                 {"audio_url", Part::kAudio},
                                                 {"file", Part::kFile},
                                                 {"input_file", Part::kFile},
                                                 {"video_url", Part::kFile},
                                                 {"input_video", Part::kFile}}}};

// A token number stands for about four bytes of text, so that bytes and tokens keep their usual ratio
// (estimate_tokens).
constexpr std::uint64_t kBytesOfToken = 4;

}  // namespace

bool RequestBody::read_messages() {
  has_messages_ = true;
  if (walk_.next() != json::Kind::kArray) return skip_wrong_type("messages", "an array of objects");
  std::size_t count = 0;
  if (!walk_.array([&] { return read_message(count++); })) return false;
  if (count == 0) {
    blame("messages",
          "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.");
  }
  return true;
}

bool RequestBody::read_message(std::size_t index) {
  ends_with_assistant = false;
  if (walk_.next() != json::Kind::kObject) return skip_wrong_type(fmt::format("messages[{}]", index), "an object");
  bool has_role = false;
  bool assistant = false;
  bool calls_tools = false;
  const bool read = walk_.object([&](const json::Member& member) {
    const MessageField field = kMessageFields.find(member.name, MessageField::kOther);
    const json::Kind kind = walk_.next();
    switch (field) {
      case MessageField::kRole:
        has_role = true;
        return read_role(index, assistant);
      case MessageField::kContent:
        return read_content(index);
      case MessageField::kToolCalls: {
        if (!is_null_or(json::Kind::kArray, kind)) {
          return skip_wrong_type(fmt::format("messages[{}].tool_calls", index), "an array of objects");
        }
        if (kind == json::Kind::kNull) return walk_.skip();
        return walk_.array([&] {
          calls_tools = true;
          return count_text();
        });
      }
      case MessageField::kFunctionCall:
        if (kind != json::Kind::kNull) calls_tools = true;
        return count_text();
      case MessageField::kAudio:
        if (kind != json::Kind::kNull) need(Capability::kAudio);
        return read_matter();
      case MessageField::kOther:
        break;
    }
    return count_text();
  });
  if (!read) return false;
  if (!has_role) {
    const std::string parameter = fmt::format("messages[{}].role", index);
    blame(parameter, missing(parameter));
  }
  if (calls_tools) need(Capability::kTools);
  ends_with_assistant = assistant && !calls_tools;
  return true;
}

bool RequestBody::read_role(std::size_t index, bool& assistant) {
  if (walk_.next() != json::Kind::kString) return skip_wrong_type(fmt::format("messages[{}].role", index), "a string");
  json::Text text;
  if (!walk_.string(text)) return false;
  request_.prompt_bytes += text.meant_bytes;
  const std::string_view role = json::meaning(text, storage_);
  assistant = role == "assistant";
  if (role == "tool" || role == "function") need(Capability::kTools);
  return true;
}

bool RequestBody::read_content(std::size_t index) {
  switch (walk_.next()) {
    case json::Kind::kString:
    case json::Kind::kNull:
      return count_text();
    case json::Kind::kArray: {
      std::size_t part = 0;
      return walk_.array([&] { return read_part(index, part++); });
    }
    default:
      return skip_wrong_type(fmt::format("messages[{}].content", index), "a string or an array of objects");
  }
}

bool RequestBody::read_part(std::size_t index, std::size_t part) {
  const auto parameter = [&](std::string_view behind) {
    return fmt::format("messages[{}].content[{}]{}", index, part, behind);
  };
  if (walk_.next() != json::Kind::kObject) return skip_wrong_type(parameter(""), "an object");
  const auto need_part = [this](Part kind) {
    if (kind == Part::kImage) need(Capability::kImages);
    if (kind == Part::kAudio) need(Capability::kAudio);
    if (kind == Part::kFile) need(Capability::kFiles);
  };
  bool has_type = false;
  const bool read = walk_.object([&](const json::Member& member) {
    if (member.name == "type") {
      has_type = true;
      if (walk_.next() != json::Kind::kString) return skip_wrong_type(parameter(".type"), "a string");
      json::Text text;
      if (!walk_.string(text)) return false;
      need_part(kPartTypes.find(json::meaning(text, storage_), Part::kFile));
      return true;
    }
    const Part matter = kPartMatter.find(member.name, Part::kText);
    if (matter == Part::kText) return count_text();
    if (walk_.next() != json::Kind::kNull) need_part(matter);
    return read_matter();
  });
  if (!read) return false;
  if (!has_type) blame(parameter(".type"), missing(parameter(".type")));
  return true;
}

// What an image, a sound or a file is made of: its bytes, or where they are to be found.
bool RequestBody::read_matter() {
  switch (walk_.next()) {
    case json::Kind::kString:
      return read_address(true);
    case json::Kind::kObject:
      return walk_.object([this](const json::Member& member) {
        const bool id = member.name == "id" || member.name == "file_id";
        const bool address = member.name.ends_with("url");
        if (member.name == "filename") return walk_.skip();
        const json::Kind kind = walk_.next();
        if (id && kind != json::Kind::kNull) request_.uses.add(inference::Use::kFileIds);
        return kind == json::Kind::kString ? read_address(address) : walk_.skip();
      });
    default:
      return walk_.skip();
  }
}

// What stands in the place of an address and is none that holds the bytes themselves; elsewhere what looks like one.
bool RequestBody::read_address(bool named_so) {
  constexpr std::string_view kInline = "data:";
  constexpr std::size_t kLongestScheme = 16;
  json::Text text;
  if (!walk_.string(text)) return false;
  const bool looks_so = text.raw.substr(0, kLongestScheme).find(':') != text.raw.npos;
  if ((named_so || looks_so) && !text.raw.empty() && !text.raw.starts_with(kInline))
    request_.uses.add(inference::Use::kRemoteUrls);
  return true;
}

bool RequestBody::read_prompt() {
  has_prompt_ = true;
  switch (walk_.next()) {
    case json::Kind::kString:
      return count_text();
    case json::Kind::kArray:
      return read_prompts();
    default:
      return skip_wrong_type(std::string(prompt_name()), "a string, an array of strings or an array of token numbers");
  }
}

// The first element tells what the array is: strings or token lists are prompts each, token numbers are one prompt
// together.
bool RequestBody::read_prompts() {
  std::uint64_t count = 0;
  json::Kind first = json::Kind::kNone;
  const auto piece = [this](bool read, std::uint64_t before) {
    largest_piece_ = std::max(largest_piece_, request_.prompt_bytes - before);
    return read;
  };
  const bool read = walk_.array([&] {
    const json::Kind kind = walk_.next();
    const std::uint64_t before = request_.prompt_bytes;
    if (count++ == 0) first = kind;
    if (kind == first && kind == json::Kind::kString) return piece(count_text(), before);
    if (kind == first && kind == json::Kind::kArray) return piece(read_token_list(), before);
    if (kind == first && kind == json::Kind::kNumber) {
      request_.prompt_bytes += kBytesOfToken;
      return walk_.skip();
    }
    return skip_wrong_type(fmt::format("{}[{}]", prompt_name(), count - 1),
                           count == 1 ? "a string, a token number or an array of token numbers" : name_of(first));
  });
  if (!read) return false;
  if (count == 0)
    blame(std::string(prompt_name()),
          fmt::format(
              "Invalid '{}': empty array. Expected an array with minimum length 1, but got an empty array instead.",
              prompt_name()));
  prompts_ = first == json::Kind::kNumber ? 1 : std::max<std::uint64_t>(1, count);
  return true;
}

bool RequestBody::read_token_list() {
  return walk_.array([&] {
    if (walk_.next() != json::Kind::kNumber)
      return skip_wrong_type(std::string(prompt_name()), "token numbers in an array of arrays");
    request_.prompt_bytes += kBytesOfToken;
    return walk_.skip();
  });
}

bool RequestBody::read_tools() {
  const json::Kind kind = walk_.next();
  if (!is_null_or(json::Kind::kArray, kind)) return skip_wrong_type("tools", "an array of objects");
  if (kind == json::Kind::kNull) return walk_.skip();
  const std::size_t begin = walk_.offset();
  std::size_t count = 0;
  const bool read = walk_.array([&] {
    const std::size_t index = count++;
    if (walk_.next() != json::Kind::kObject) return skip_wrong_type(fmt::format("tools[{}]", index), "an object");
    bool has_type = false;
    const bool read_tool = walk_.object([&](const json::Member& member) {
      if (member.name != "type") return walk_.skip();
      has_type = true;
      if (walk_.next() != json::Kind::kString) return skip_wrong_type(fmt::format("tools[{}].type", index), "a string");
      json::Text text;
      if (!walk_.string(text)) return false;
      const std::string_view type = json::meaning(text, storage_);
      need(type == "function" || type == "custom" ? Capability::kTools : Capability::kHostedTools);
      return true;
    });
    if (!read_tool) return false;
    if (!has_type) {
      const std::string parameter = fmt::format("tools[{}].type", index);
      blame(parameter, missing(parameter));
    }
    return true;
  });
  if (!read) return false;
  if (count > 0) request_.prompt_bytes += walk_.offset() - begin;
  return true;
}

bool RequestBody::read_functions() {
  const json::Kind kind = walk_.next();
  if (!is_null_or(json::Kind::kArray, kind)) return skip_wrong_type("functions", "an array of objects");
  if (kind == json::Kind::kNull) return walk_.skip();
  const std::size_t begin = walk_.offset();
  bool any = false;
  const bool read = walk_.array([&] {
    any = true;
    return walk_.skip();
  });
  if (!read) return false;
  if (any) {
    need(Capability::kTools);
    request_.prompt_bytes += walk_.offset() - begin;
  }
  return true;
}

bool RequestBody::count_text() {
  switch (walk_.next()) {
    case json::Kind::kString: {
      json::Text text;
      if (!walk_.string(text)) return false;
      request_.prompt_bytes += text.meant_bytes;
      return true;
    }
    case json::Kind::kObject:
      return walk_.object([this](const json::Member&) { return count_text(); });
    case json::Kind::kArray:
      return walk_.array([this] { return count_text(); });
    default:
      return walk_.skip();
  }
}

}  // namespace thalweg::dialect
