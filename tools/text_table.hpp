#pragma once

#include <string>
#include <vector>

namespace foreplan {

/// A table for people: a header, rows, columns as wide as their widest cell. Cells that begin with a
/// digit, a sign or a dot stand at the right of their column.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) : rows_{std::move(header)} {}
  /// @param cells  one a column
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text() const;
  /// The same as a Markdown table.
  std::string markdown() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace foreplan
