#include "sim/profile_io.hpp"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "sim/json_names.hpp"
#include "sim/json_reader.hpp"
#include "sim/json_text.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

DeviceId read_device_id(const JsonValue& value) {
  return DeviceId{static_cast<std::int32_t>(value.integer(0, kMostDevices - 1))};
}

Profile::Device read_machine(JsonObject object) {
  Profile::Device device;
  device.name = object.required("name").text();
  device.backend = object.required("backend").text();
  device.memory = {object.required("memory_bytes").integer(0)};
  device.clock_mhz = object.required("clock_mhz").number(0);
  device.driver = object.required("driver").text();
  device.measured_at = object.required("measured_at").text();
  device.workers = static_cast<int>(object.required("workers").integer(0, kMostDevices));
  object.finish();
  return device;
}

ProfiledOp read_op(JsonObject object) {
  ProfiledOp op;
  op.key = read_op_key(object);
  op.flops = {object.required("flops").number(0)};
  op.traffic = {object.required("bytes_accessed").integer(0)};
  op.time = read_sample(object);
  object.finish();
  return op;
}

ProfiledCopy read_copy(JsonObject object) {
  ProfiledCopy copy;
  copy.source = read_device_id(object.required("source"));
  copy.destination = read_device_id(object.required("destination"));
  copy.bytes = {object.required("bytes").integer(0)};
  copy.time = read_sample(object);
  object.finish();
  return copy;
}

ProfiledCollective read_collective(JsonObject object) {
  ProfiledCollective collective;
  collective.kind = read_collective_kind(object.required("operation"));
  collective.ranks = static_cast<int>(object.required("ranks").integer(1, kMostDevices));
  collective.bytes = {object.required("bytes").integer(0)};
  collective.time = read_sample(object);
  object.finish();
  return collective;
}

LineFit read_fit(JsonObject object) {
  LineFit fit;
  fit.what = object.required("what").text();
  const JsonValue variable = object.required("variable");
  fit.variable = variable.text();
  if (fit.variable != "flops" && fit.variable != "bytes") variable.expected("flops or bytes");
  fit.overhead = read_seconds(object.required("overhead_s"));
  fit.per_s = object.required("per_s").positive_number();
  fit.residual = object.required("residual").number(0);
  fit.points = object.required("points").integer(0);
  fit.fitted_on = object.required("fitted_on").text();
  object.finish();
  return fit;
}

template <typename T, typename Read>
std::vector<T> read_rows(JsonObject& object, const std::string& key, Read read) {
  std::vector<T> rows;
  for (const JsonValue& value : object.required(key).array()) rows.push_back(read(value.object()));
  return rows;
}

Sample read_whole_sample(JsonObject object) {
  const Sample sample = read_sample(object);
  object.finish();
  return sample;
}

Json with_sample(Json object, const Sample& sample) {
  write_sample(object, sample);
  return object;
}

Json op_json(const ProfiledOp& op) {
  Json object = Json::object();
  write_op_key(object, op.key);
  object["flops"] = op.flops.count;
  object["bytes_accessed"] = op.traffic.count;
  return with_sample(std::move(object), op.time);
}

Json copy_json(const ProfiledCopy& copy) {
  return with_sample({{"source", static_cast<std::int32_t>(copy.source)},
                      {"destination", static_cast<std::int32_t>(copy.destination)},
                      {"bytes", copy.bytes.count}},
                     copy.time);
}

Json collective_json(const ProfiledCollective& collective) {
  return with_sample({{"operation", name(collective.kind)},
                      {"ranks", collective.ranks},
                      {"bytes", collective.bytes.count}},
                     collective.time);
}

Json fit_json(const LineFit& fit) {
  return {{"what", fit.what},
          {"variable", fit.variable},
          {"overhead_s", json_seconds(fit.overhead)},
          {"per_s", fit.per_s},
          {"residual", fit.residual},
          {"points", fit.points},
          {"fitted_on", fit.fitted_on}};
}

template <typename T, typename Write>
Json rows_json(const std::vector<T>& rows, Write write) {
  Json array = Json::array();
  for (const T& row : rows) array.push_back(write(row));
  return array;
}

}  // namespace

Sample read_sample(JsonObject& object) {
  Sample sample;
  sample.mean = read_seconds(object.required("mean_s"));
  sample.median = read_seconds(object.required("median_s"));
  sample.mad = read_seconds(object.required("mad_s"));
  sample.samples = object.required("samples").integer(0);
  sample.disturbed = object.required("disturbed").integer(0);
  return sample;
}

void write_sample(Json& object, const Sample& sample) {
  object["mean_s"] = json_seconds(sample.mean);
  object["median_s"] = json_seconds(sample.median);
  object["mad_s"] = json_seconds(sample.mad);
  object["samples"] = sample.samples;
  object["disturbed"] = sample.disturbed;
}

Profile read_profile(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  JsonObject root = document.root("profile");
  Profile profile;
  profile.device = read_machine(root.required("device").object());
  profile.ops = read_rows<ProfiledOp>(root, "ops", read_op);
  profile.copies = read_rows<ProfiledCopy>(root, "copies", read_copy);
  profile.collectives = read_rows<ProfiledCollective>(root, "collectives", read_collective);
  profile.dispatch = read_whole_sample(root.required("dispatch").object());
  profile.handover = read_whole_sample(root.required("handover").object());
  profile.barrier = read_whole_sample(root.required("barrier").object());
  profile.fits = read_rows<LineFit>(root, "fits", read_fit);
  root.finish();
  return profile;
}

std::string to_json(const Profile& profile) {
  const Profile::Device& device = profile.device;
  const Json document = {{"schema", "foreplan.profile/1"},
                         {"device",
                          {{"name", device.name},
                           {"backend", device.backend},
                           {"memory_bytes", device.memory.count},
                           {"clock_mhz", device.clock_mhz},
                           {"driver", device.driver},
                           {"measured_at", device.measured_at},
                           {"workers", device.workers}}},
                         {"ops", rows_json(profile.ops, op_json)},
                         {"copies", rows_json(profile.copies, copy_json)},
                         {"collectives", rows_json(profile.collectives, collective_json)},
                         {"dispatch", with_sample(Json::object(), profile.dispatch)},
                         {"handover", with_sample(Json::object(), profile.handover)},
                         {"barrier", with_sample(Json::object(), profile.barrier)},
                         {"fits", rows_json(profile.fits, fit_json)}};
  return document_text(document);
}

}  // namespace foreplan
