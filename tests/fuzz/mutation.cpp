#include "tests/fuzz/mutation.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

namespace foreplan::fuzz {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostNumbers = 100'000;  ///< values of a document that are worth a change

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  /// 0 to `sides` - 1; the same on every platform, unlike the library's distributions.
  std::size_t roll(std::size_t sides) { return engine_() % sides; }

 private:
  std::mt19937_64 engine_;
};

void collect(Json& value, std::vector<Json*>& found) {
  if (found.size() >= kMostNumbers) return;
  found.push_back(&value);
  if (!value.is_structured()) return;
  for (Json& child : value) collect(child, found);
}

Json extreme(Dice& dice) {
  switch (dice.roll(16)) {
    case 0:
      return 0;
    case 1:
      return -1;
    case 2:
      return 1;
    case 3:
      return std::numeric_limits<std::int64_t>::max();
    case 4:
      return std::numeric_limits<std::int64_t>::min();
    case 5:
      return std::numeric_limits<std::uint64_t>::max();
    case 6:
      return 1e300;
    case 7:
      return 5e-324;
    case 8:
      return -0.5;
    case 9:
      return nullptr;
    case 10:
      return std::string(dice.roll(300), 'a');
    case 11:
      return "line\nbreak\x01";
    case 12:
      return Json::array();
    case 13:
      return Json::object();
    case 14:
      return dice.roll(2) == 0;
    default:
      return std::int64_t{1} << dice.roll(63);
  }
}

void change_array(Json& array, Dice& dice) {
  const std::size_t at = dice.roll(array.size());
  switch (dice.roll(3)) {
    case 0:
      array.erase(at);
      break;
    case 1: {
      const Json copy = array[at];
      array.push_back(copy);
      break;
    }
    default:
      std::swap(array[at], array[dice.roll(array.size())]);
  }
}

void change_object(Json& object, Dice& dice) {
  auto entry = object.begin();
  std::advance(entry, dice.roll(object.size()));
  const std::string key = entry.key();
  const Json value = entry.value();
  switch (dice.roll(3)) {
    case 0:
      object.erase(key);
      break;
    case 1:
      object.erase(key);
      object[key + "_"] = value;
      break;
    default:
      object["extra\n"] = value;
  }
}

void change(Json& root, Dice& dice) {
  std::vector<Json*> values;
  collect(root, values);
  Json& value = *values[dice.roll(values.size())];
  const std::size_t how = dice.roll(6);
  if (how == 0 && value.is_array() && !value.empty()) return change_array(value, dice);
  if (how <= 1 && value.is_object() && !value.empty()) return change_object(value, dice);
  if (how == 2) {
    const Json inner = value;
    value = Json::array({inner});
  } else if (how == 3) {
    const Json other = *values[dice.roll(values.size())];
    value = other;
  } else if (how == 4 && value.is_number_integer()) {
    value = value.get<std::int64_t>() / 2 + static_cast<std::int64_t>(dice.roll(5)) - 2;
  } else {
    value = extreme(dice);
  }
}

}  // namespace

std::string mutated_bytes(std::string_view text, std::uint64_t seed) {
  constexpr std::string_view kSpecial = "{}[]\",:=+-0189.eE\\\n\xff ";
  Dice dice(seed);
  std::string result(text);
  for (std::size_t i = 0, changes = 1 + dice.roll(4); i < changes; ++i) {
    const std::size_t at = dice.roll(result.size() + 1);
    const std::size_t length = std::min(1 + dice.roll(16), result.size() - at);
    switch (dice.roll(4)) {
      case 0:
        result.erase(at, length);
        break;
      case 1:
        result.insert(at, result.substr(at, length));
        break;
      case 2:
        result.insert(at, 1, kSpecial[dice.roll(kSpecial.size())]);
        break;
      default:
        if (at < result.size()) result[at] = static_cast<char>(dice.roll(256));
    }
  }
  return result;
}

std::string mutated_json(std::string_view text, std::uint64_t seed) {
  Json root = Json::parse(text, nullptr, false);
  if (root.is_discarded()) return mutated_bytes(text, seed);
  Dice dice(seed);
  for (std::size_t i = 0, changes = 1 + dice.roll(3); i < changes; ++i) change(root, dice);
  return root.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace foreplan::fuzz
