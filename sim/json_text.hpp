#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "sim/units.hpp"

namespace foreplan {

/// `text` fit for one line of a message: control characters and bytes that are not UTF-8 escaped
/// (`\n`, `\x00`), cut to about `most` characters with "..." behind.
std::string printable(std::string_view text, std::size_t most);

/// `document`, an object, as text: every key a line, every entry of an array of objects a line of
/// its own. What is not UTF-8 is replaced; ends with a line break.
std::string document_text(const nlohmann::ordered_json& document);

/// `duration` [s] as the number that prints shortest: 1.2e-9, and not 1.2000000000000002e-9.
/// duration_from_seconds gives back the same duration below 2^51 picoseconds (37 minutes).
double json_seconds(Duration duration);

}  // namespace foreplan
