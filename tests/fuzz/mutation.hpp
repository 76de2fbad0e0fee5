#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace foreplan::fuzz {

/// `text` with a few small changes, the same for the same seed: bytes flipped, dropped, doubled.
std::string mutated_bytes(std::string_view text, std::uint64_t seed);

/// A JSON document with a few changes of its structure: values replaced by others of the document
/// or by extremes, keys renamed or dropped, entries doubled, swapped or nested; where `text` is no
/// JSON, its bytes change.
std::string mutated_json(std::string_view text, std::uint64_t seed);

}  // namespace foreplan::fuzz
