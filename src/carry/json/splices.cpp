#include "carry/json/splices.h"

#include <algorithm>

namespace thalweg::json {

std::string& Splices::replace(Span span) {
  if (open_) edits_.back().written_to = written_.size();
  edits_.push_back({.span = span, .written_from = written_.size(), .written_to = written_.size()});
  open_ = true;
  return written_;
}

// Ends the last replacement and puts the edits into the text's order.
void Splices::settle() {
  if (!open_) return;
  open_ = false;
  edits_.back().written_to = written_.size();
  if (edits_.size() > 1) std::ranges::sort(edits_, {}, [](const Edit& edit) { return edit.span.begin; });
}

template <class Take>
void Splices::each_piece(std::string_view text, Take&& take) {
  std::size_t from = 0;
  const std::string_view written = written_;
  for (const Edit& edit : edits_) {
    take(text.substr(from, edit.span.begin - from));
    take(written.substr(edit.written_from, edit.written_to - edit.written_from));
    from = edit.span.end;
  }
  take(text.substr(from));
}

void Splices::cut(std::string_view text, SlicedBody& out) {
  settle();
  out.clear();
  each_piece(text, [&](std::string_view piece) { out.add(piece); });
}

void Splices::append_to(std::string_view text, std::string& out) {
  settle();
  each_piece(text, [&](std::string_view piece) { out += piece; });
}

}  // namespace thalweg::json
