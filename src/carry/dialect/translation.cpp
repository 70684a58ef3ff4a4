#include "carry/dialect/translation.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "carry/json/text.h"

namespace thalweg::dialect {

void Translation::begin(std::string_view body) {
  out_.clear();
  out_.reserve(body.size() + body.size() / 8 + 512);
  size_ = 0;
  dropped_.clear();
  not_carried_.clear();
  not_carried_parameter_.clear();
  holds_unknown_ = false;
  fault_.clear();
  fault_parameter_.clear();
  level_ = 0;
}

Result<void> Translation::end() {
  size_ = out_.size();
  out_.append(http::kPadding, '\0');
  if (!fault_.empty()) return fail(ErrorCode::kInvalidRequest, fault_);
  return {};
}

void Translation::forget() {
  constexpr std::size_t kKeptCapacity = 16 * 1024;
  for (std::string* text : {&out_, &storage_}) {
    if (text->capacity() > kKeptCapacity) std::string().swap(*text);
  }
  size_ = 0;
}

bool Translation::is(const Found& value, std::string_view word) {
  if (value.kind != json::Kind::kString) return false;
  const std::string_view raw = json::inside_quotes(value.raw);
  if (raw.find('\\') == raw.npos) return raw == word;
  json::unescape(raw, storage_);
  return storage_ == word;
}

void Translation::read(std::string_view object, const std::string& path, std::initializer_list<Slot> slots) {
  members(object, [&](std::string_view name, const Found& value) {
    const auto* const slot = std::ranges::find(slots, name, &Slot::name);
    if (slot == slots.end()) {
      if (value.present()) refuse(fmt::format("{}.{}", path, name));
    } else if (slot->use == Use::kRead) {
      *slot->value = value;
    } else if (slot->use == Use::kHint && value.present() && value.raw != "[]") {
      drop(slot->name);
    }
  });
}

void Translation::begin_message(std::string_view role) {
  if (out_.back() != '[') out_ += ',';
  out_ += R"({"role":")";
  out_ += role;
  out_ += '"';
}

void Translation::write_member(std::string_view name, std::string_view raw) {
  if (out_.back() != '{') out_ += ',';
  out_ += '"';
  out_ += name;
  out_ += "\":";
  out_ += raw;
}

void Translation::drop(std::string_view hint) {
  const std::string_view known = dropped_;
  for (std::size_t at = known.find(hint); at != known.npos; at = known.find(hint, at + 1)) {
    const std::size_t end = at + hint.size();
    if ((at == 0 || known[at - 1] == ' ') && (end == known.size() || known[end] == ',')) return;
  }
  if (!dropped_.empty()) dropped_ += ", ";
  dropped_ += hint;
}

void Translation::blame(std::string parameter, std::string message) {
  if (!fault_.empty()) return;
  fault_parameter_ = std::move(parameter);
  fault_ = std::move(message);
}

void Translation::leave_out(std::string parameter, std::string message) {
  if (!not_carried_.empty()) return;
  not_carried_parameter_ = std::move(parameter);
  not_carried_ = std::move(message);
}

void Translation::refuse(std::string parameter) {
  holds_unknown_ = true;
  if (parameter.empty()) parameter = R"("")";  // a member without a name
  std::string message =
      fmt::format("{}: this cannot be carried to an endpoint that speaks {}; leave it out", parameter, other_);
  leave_out(std::move(parameter), std::move(message));
}

bool Translation::expect(const Found& value, json::Kind kind, const std::string& parameter, std::string_view expected) {
  if (value.kind == kind) return true;
  blame(parameter, value.present()
                       ? fmt::format("{}: expected {}, but got {}", parameter, expected, name_of(value.kind))
                       : fmt::format("{}: Field required", parameter));
  return false;
}

}  // namespace thalweg::dialect
