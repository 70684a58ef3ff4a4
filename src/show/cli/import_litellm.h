// The two halves of reading LiteLLM's configuration: settings of the whole proxy, and one entry of its model_list.
#pragma once

#include <map>
#include <set>
#include <string>

#include "show/cli/import.h"

namespace thalweg::cli {

/// The provider of a model as LiteLLM names it, and how Thalweg reaches it.
struct LiteLlmProvider {
  std::string_view name;
  std::string_view api;            // of Thalweg's configuration
  std::string_view url;            // where LiteLLM asks it; empty: api_base is needed
  std::string_view variable;       // that holds its key; empty: servers of one's own, mostly without
  std::string_view operator_name;  // empty: whoever runs it
};
/// Null for one whose API Thalweg does not speak.
const LiteLlmProvider* provider_of(std::string_view name);
/// The provider of a model that names none, by LiteLLM's own lists; empty where it would not know either.
std::string_view provider_of_bare(std::string_view model);

/// Turns entries of model_list into endpoints and targets.
class LiteLlmDeployments {
 public:
  /// `root` is the whole document.
  LiteLlmDeployments(const document::Node& root, const std::filesystem::path& file, Imported& imported);
  void add(const document::Node& entry);
  /// Offers what was added; last.
  void finish();

 private:
  struct Deployment;  // one entry, half read
  struct Target {
    std::uint64_t order = 0;
    std::string target;
  };

  void note(NoteKind kind, Position position, std::string sentence);
  bool read_model(Deployment& deployment);
  bool read_mode(Deployment& deployment);
  bool read_address(Deployment& deployment);
  bool read_url(Deployment& deployment, const std::string& url, Position position);
  void read_key(Deployment& deployment);
  void read_numbers(Deployment& deployment);
  static bool was_read(const Deployment& deployment, std::string_view key);
  void note_others(const Deployment& deployment);
  /// The member of litellm_params, else of the named credential, or null.
  const document::Member* param(const Deployment& deployment, std::string_view key) const;
  std::string variable_for(const std::string& endpoint);
  ImportedEndpoint& endpoint_for(Deployment& deployment);

  const document::Node& root_;
  const std::filesystem::path& file_;
  Imported& imported_;
  std::map<std::string, std::size_t> endpoints_;  // by all that they share
  std::map<std::string, std::vector<Target>> offered_;
  std::vector<std::string> order_of_names_;
  std::set<std::string> variables_;  // that the source names, or that were made up
  bool told_of_order_ = false;
};

/// A number of seconds, whole or not; 0 where there is none from 1 ms to 24 h.
Duration seconds_at(const document::Node& node, std::string_view key);

}  // namespace thalweg::cli
