#include "models/operands.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <string_view>

#include "sim/error.hpp"

namespace foreplan {
namespace {

/// Far beyond any memory; below it sizes in bytes cannot overflow.
constexpr double kMostElements = 1125899906842624.0;  // 2^50

using Shape = std::vector<std::int64_t>;

/// How many numbers an operand has; 4-byte ones whatever the dtype: labels, statistics, losses and
/// moments.
struct Count {
  std::int64_t numbers = 0;
  bool words = false;
  Count(std::int64_t n, bool are_words = false) : numbers(n), words(are_words) {}
};
Count words(std::int64_t n) { return {n, true}; }

struct Counts {
  std::vector<Count> reads, writes;
};

struct Row {
  std::string_view op;
  Pass pass;
  std::size_t entries;  ///< of the shape
  Counts (*counts)(const Shape&);
};

Counts unary(const Shape& s) { return {{s[0]}, {s[0]}}; }
Counts binary(const Shape& s) { return {{s[0], s[0]}, {s[0]}}; }

// Shapes: [m, k, n] for products, [m, n] for rows, [n] for elements.
constexpr std::array kRows{
    Row{"linear", Pass::forward, 3,
        [](const Shape& s) {
          return Counts{{s[0] * s[1], s[1] * s[2], s[2]}, {s[0] * s[2]}};
        }},
    Row{"linear", Pass::backward_input, 3,
        [](const Shape& s) {
          return Counts{{s[0] * s[2], s[1] * s[2]}, {s[0] * s[1]}};
        }},
    Row{"linear", Pass::backward_weight, 3,
        [](const Shape& s) {
          return Counts{{s[0] * s[1], s[0] * s[2]}, {s[1] * s[2], s[2]}};
        }},
    Row{"matmul", Pass::forward, 3,
        [](const Shape& s) {
          return Counts{{s[0] * s[1], s[1] * s[2]}, {s[0] * s[2]}};
        }},
    Row{"matmul", Pass::backward_input, 3,
        [](const Shape& s) {
          return Counts{{s[0] * s[2], s[1] * s[2]}, {s[0] * s[1]}};
        }},
    Row{"matmul", Pass::backward_weight, 3,
        [](const Shape& s) {
          return Counts{{s[0] * s[1], s[0] * s[2]}, {s[1] * s[2]}};
        }},
    Row{"bias_add", Pass::forward, 2,
        [](const Shape& s) {
          return Counts{{s[0] * s[1], s[1]}, {s[0] * s[1]}};
        }},
    Row{"bias_add", Pass::backward_weight, 2,
        [](const Shape& s) {
          return Counts{{s[0] * s[1]}, {s[1]}};
        }},
    Row{"relu", Pass::forward, 1, unary},
    Row{"relu", Pass::backward_input, 1, binary},
    Row{"gelu", Pass::forward, 1, unary},
    Row{"gelu", Pass::backward_input, 1, binary},
    Row{"layer_norm", Pass::forward, 2,
        [](const Shape& s) {
          return Counts{{s[0] * s[1], s[1], s[1]}, {s[0] * s[1], words(2 * s[0])}};
        }},
    Row{"layer_norm", Pass::backward_input, 2,
        [](const Shape& s) {
          return Counts{{s[0] * s[1], words(2 * s[0]), s[1], s[0] * s[1]}, {s[0] * s[1]}};
        }},
    Row{"layer_norm", Pass::backward_weight, 2,
        [](const Shape& s) {
          return Counts{{s[0] * s[1], words(2 * s[0]), s[0] * s[1]}, {s[1], s[1]}};
        }},
    Row{"rms_norm", Pass::forward, 2,
        [](const Shape& s) {
          return Counts{{s[0] * s[1], s[1]}, {s[0] * s[1], words(s[0])}};
        }},
    Row{"rms_norm", Pass::backward_input, 2,
        [](const Shape& s) {
          return Counts{{s[0] * s[1], words(s[0]), s[1], s[0] * s[1]}, {s[0] * s[1]}};
        }},
    Row{"rms_norm", Pass::backward_weight, 2,
        [](const Shape& s) {
          return Counts{{s[0] * s[1], words(s[0]), s[0] * s[1]}, {s[1]}};
        }},
    Row{"softmax", Pass::forward, 2,
        [](const Shape& s) {
          return Counts{{s[0] * s[1]}, {s[0] * s[1]}};
        }},
    Row{"softmax", Pass::backward_input, 2,
        [](const Shape& s) {
          return Counts{{s[0] * s[1], s[0] * s[1]}, {s[0] * s[1]}};
        }},
    Row{"embedding", Pass::forward, 3,
        [](const Shape& s) {
          return Counts{{words(s[0]), s[1] * s[2]}, {s[0] * s[2]}};
        }},
    Row{"embedding", Pass::backward_weight, 3,
        [](const Shape& s) {
          return Counts{{words(s[0]), s[0] * s[2]}, {s[1] * s[2]}};
        }},
    Row{"add", Pass::forward, 1, binary},
    Row{"accumulate", Pass::forward, 1, unary},
    Row{"copy", Pass::forward, 1, unary},
    Row{"gather_columns", Pass::forward, 3,
        [](const Shape& s) {
          return Counts{{s[0] * s[1]}, {s[0] * s[1]}};
        }},
    // From the first wanted column of the first row to the last wanted one of the last.
    Row{"gather_columns", Pass::backward_input, 3,
        [](const Shape& s) {
          return Counts{{(s[0] - 1) * s[1] + s[1] / s[2]}, {s[0] * (s[1] / s[2])}};
        }},
    Row{"softmax_cross_entropy", Pass::forward, 2,
        [](const Shape& s) {
          return Counts{{s[0] * s[1], words(s[0])}, {s[0] * s[1], words(1)}};
        }},
    Row{"softmax_cross_entropy", Pass::backward_input, 2,
        [](const Shape& s) {
          return Counts{{s[0] * s[1], words(s[0])}, {s[0] * s[1]}};
        }},
    Row{"sgd", Pass::optimizer, 1,
        [](const Shape& s) {
          return Counts{{s[0]}, {s[0], words(s[0])}};
        }},
    Row{"adam", Pass::optimizer, 1,
        [](const Shape& s) {
          return Counts{{s[0]}, {s[0], words(s[0]), words(s[0])}};
        }},
};

const Row& row_of(const OpKey& key) {
  const auto* row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& candidate) {
    return candidate.op == key.op && candidate.pass == key.pass;
  });
  if (row == kRows.end()) reject(fmt::format("{}: no kernel for this op and pass", format(key)));
  return *row;
}

std::vector<Bytes> sizes(const std::vector<Count>& counts, Bytes element) {
  std::vector<Bytes> result;
  for (const Count& count : counts) {
    result.push_back(count.numbers * (count.words ? Bytes{4} : element));
  }
  return result;
}

}  // namespace

OperandBytes operand_bytes(const OpKey& key) {
  const Row& row = row_of(key);
  if (key.shape.size() != row.entries) {
    reject(fmt::format("{}: expected a shape of {} numbers, got {}", format(key), row.entries,
                       key.shape.size()));
  }
  if (std::any_of(key.shape.begin(), key.shape.end(), [](std::int64_t n) { return n < 1; })) {
    reject(fmt::format("{}: expected positive numbers in the shape", format(key)));
  }
  const double elements =
      std::accumulate(key.shape.begin(), key.shape.end(), 1.0,
                      [](double a, std::int64_t b) { return a * static_cast<double>(b); });
  if (elements > kMostElements) reject(fmt::format("{}: more than 2^50 elements", format(key)));
  if (key.op == "gather_columns" && key.shape[1] % key.shape[2] != 0) {
    reject(fmt::format("{}: {} columns do not divide into {} parts", format(key), key.shape[1],
                       key.shape[2]));
  }
  const Counts counts = row.counts(key.shape);
  const Bytes element = element_size(key.dtype);
  return {sizes(counts.reads, element), sizes(counts.writes, element)};
}

std::optional<LabelOperand> label_operand(const OpKey& key) {
  if (key.op == "embedding") return LabelOperand{.read = 0, .classes = key.shape.at(1)};
  if (key.op == "softmax_cross_entropy") {
    return LabelOperand{.read = 1, .classes = key.shape.at(1)};
  }
  return {};
}

}  // namespace foreplan
