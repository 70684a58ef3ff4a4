// Changes to a text, spliced in place: everything between them stays the bytes it was.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "carry/json/sliced_body.h"
#include "carry/json/walk.h"

namespace thalweg::json {

class Splices {
 public:
  void clear() {
    edits_.clear();
    written_.clear();
    open_ = false;
  }
  bool empty() const { return edits_.empty(); }

  /// Begins a replacement of `span` (an empty one inserts); what is appended to the returned string until the next call
  /// of a function here stands in its place. Spans must not overlap.
  std::string& replace(Span span);
  void remove(Span span) { replace(span); }

  /// The changed text as slices of `text` and of strings kept here until the next change.
  void cut(std::string_view text, SlicedBody& out);
  /// Appends the changed text.
  void append_to(std::string_view text, std::string& out);

 private:
  struct Edit {
    Span span;
    std::size_t written_from = 0;  // its replacement in written_, up to the next edit's
    std::size_t written_to = 0;
  };
  void settle();
  template <class Take>
  void each_piece(std::string_view text, Take&& take);

  std::vector<Edit> edits_;
  std::string written_;
  bool open_ = false;  // the last edit's replacement may still grow
};

}  // namespace thalweg::json
