#include "planner/rank_order.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/error.hpp"

namespace foreplan {
namespace {

[[noreturn]] void refuse(const std::string& why) {
  reject(fmt::format("strategy: order: expected each of tp, cp, dp and pp once, joined by '-'; {}",
                     why));
}

Dimension parse_dimension(std::string_view text) {
  for (const Dimension dimension : kDimensions) {
    if (text == name(dimension)) return dimension;
  }
  refuse(fmt::format("'{}' is none of them", text));
}

}  // namespace

std::string_view name(Dimension dimension) {
  switch (dimension) {
    case Dimension::tp:
      return "tp";
    case Dimension::cp:
      return "cp";
    case Dimension::dp:
      return "dp";
    case Dimension::pp:
      return "pp";
  }
  return "?";
}

std::string format(const RankOrder& order) {
  std::string text;
  for (const Dimension dimension : order.dimensions) {
    if (!text.empty()) text += '-';
    text += name(dimension);
  }
  return text;
}

RankOrder parse_rank_order(std::string_view text) {
  RankOrder order;
  std::size_t count = 0;
  for (std::size_t begin = 0; begin <= text.size(); ++count) {
    const std::size_t end = std::min(text.find('-', begin), text.size());
    const Dimension dimension = parse_dimension(text.substr(begin, end - begin));
    if (count < order.dimensions.size()) order.dimensions[count] = dimension;
    begin = end + 1;
  }
  if (count != order.dimensions.size()) refuse(fmt::format("'{}' names {}", text, count));
  check(order);
  return order;
}

void check(const RankOrder& order) {
  for (const Dimension dimension : kDimensions) {
    const auto times = std::count(order.dimensions.begin(), order.dimensions.end(), dimension);
    if (times > 1)
      refuse(fmt::format("'{}' has {} {} times", format(order), name(dimension), times));
  }
}

}  // namespace foreplan
