#include "sim/json_text.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>

namespace foreplan {
namespace {

bool continues(std::string_view text, std::size_t at) {
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U;
}

/// Whether the character at the front, U+2000 to U+2FFF, has no width, breaks the line or turns the
/// direction of what follows.
bool turns_text(std::string_view text) {
  const auto second = static_cast<unsigned char>(text[1]);
  const auto third = static_cast<unsigned char>(text[2]);
  if (second == 0x81) return third >= 0xA0 && third <= 0xAF;
  return second == 0x80 && ((third >= 0x8B && third <= 0x8F) || (third >= 0xA8 && third <= 0xAE));
}

/// Bytes of the printable UTF-8 character at the front of `text`; 0 if there is none.
std::size_t character_size(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return first >= 0x20 && first != 0x7F ? 1 : 0;
  const std::size_t size = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (size == 0 || first > 0xF4) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if (!continues(text, i)) return 0;
  }
  const auto second = static_cast<unsigned char>(text[1]);
  if (first == 0xC2 && second < 0xA0) return 0;  // C1 control characters
  if (first == 0xE2 && turns_text(text)) return 0;
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F)) return 0;
  if ((first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) return 0;
  return size;
}

std::string escaped(char c) {
  switch (c) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
}

using Json = nlohmann::ordered_json;

std::string dumped(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool holds_objects(const Json& value) {
  return value.is_array() && !value.empty() && value.front().is_object();
}

void append_rows(std::string& text, const Json& rows) {
  text += "[";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    text += (i == 0 ? "\n    " : ",\n    ") + dumped(rows[i]);
  }
  text += "\n  ]";
}

}  // namespace

std::string printable(std::string_view text, std::size_t most) {
  std::string result;
  for (std::size_t count = 0; !text.empty(); ++count) {
    if (count == most) return result + "...";
    const std::size_t size = character_size(text);
    result += size == 0 ? escaped(text[0]) : std::string(text.substr(0, size));
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return result;
}

std::string document_text(const Json& document) {
  std::string text = "{";
  const char* separator = "\n  ";
  for (const auto& [key, value] : document.items()) {
    text += separator + dumped(key) + ": ";
    if (holds_objects(value)) {
      append_rows(text, value);
    } else {
      text += dumped(value);
    }
    separator = ",\n  ";
  }
  return text + "\n}\n";
}

double json_seconds(Duration duration) { return static_cast<double>(duration.count()) / 1e12; }

}  // namespace foreplan
