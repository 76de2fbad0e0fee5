#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sim/profile.hpp"

namespace foreplan {

class JsonObject;

/// Reads a `foreplan.profile/1` file; docs/formats.md tells the keys.
/// @throws Error(invalid_argument) naming file and place
Profile read_profile(const std::filesystem::path& path);

/// The same as text, to write a profile. Reading it again gives an equal Profile: times are whole
/// picoseconds, other numbers have as many digits as it takes.
std::string to_json(const Profile& profile);

/// Reads the keys mean_s, median_s, mad_s, samples, disturbed of `object`.
Sample read_sample(JsonObject& object);

/// Writes them.
void write_sample(nlohmann::ordered_json& object, const Sample& sample);

}  // namespace foreplan
