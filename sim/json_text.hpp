#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace foreplan {

/// `text` fit for one line of a message: control characters and bytes that are not UTF-8 escaped
/// (`\n`, `\x00`), cut to about `most` characters with "..." behind.
std::string printable(std::string_view text, std::size_t most);

}  // namespace foreplan
