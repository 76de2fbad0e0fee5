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
  if (const auto logical = object.optional("logical")) device.logical = logical->boolean();
  object.finish();
  return device;
}

ProfiledOp read_op(JsonObject object) {
  ProfiledOp op;
  op.key = read_op_key(object);
  op.flops = {object.required("flops").number(0)};
  op.traffic = {object.required("bytes_accessed").integer(0)};
  op.time = read_sample(object);
  if (const auto share = object.optional("multiprocessors")) {
    op.multiprocessors = share->number(0);
    if (*op.multiprocessors > 1) share->expected("a share of at most 1");
  }
  if (const auto launches = object.optional("launches")) op.launches = launches->positive_number();
  if (const auto choice = object.optional("choice")) op.choice = choice->text();
  object.finish();
  return op;
}

ProfiledCopy read_copy(JsonObject object) {
  ProfiledCopy copy;
  copy.source = read_device_id(object.required("source"));
  copy.destination = read_device_id(object.required("destination"));
  copy.bytes = {object.required("bytes").integer(0)};
  copy.time = read_sample(object);
  if (const auto path = object.optional("path")) copy.path = path->text();
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

ProfiledLayer read_layer(JsonObject object) {
  constexpr std::int64_t kMost = 1'000'000'000;
  ProfiledLayer layer;
  layer.model = object.required("model").text();
  layer.layer = object.required("layer").text();
  layer.tp = static_cast<int>(object.required("tp").integer(1, kMostDevices));
  layer.micro_batch = object.required("micro_batch").integer(1, kMost);
  layer.times.forward = read_seconds(object.required("forward_s"));
  layer.times.backward = read_seconds(object.required("backward_s"));
  layer.times.update = read_seconds(object.required("update_s"));
  object.finish();
  return layer;
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

ProfiledCopies read_copies(JsonObject object) {
  ProfiledCopies copies;
  const JsonValue pairs = object.required("pairs");
  for (const JsonValue& value : pairs.array()) {
    JsonObject pair = value.object();
    copies.pairs.push_back({.source = read_device_id(pair.required("source")),
                            .destination = read_device_id(pair.required("destination"))});
    pair.finish();
  }
  if (copies.pairs.empty()) pairs.expected("at least one pair");
  copies.bytes = {object.required("bytes").integer(0)};
  copies.time = read_sample(object);
  object.finish();
  return copies;
}

HostCopy read_host_copy(JsonObject object) {
  HostCopy copy;
  copy.device = read_device_id(object.required("device"));
  const JsonValue direction = object.required("direction");
  copy.to_device = direction.text() == "to_device";
  if (!copy.to_device && direction.text() != "from_device") {
    direction.expected("to_device or from_device");
  }
  copy.bytes = {object.required("bytes").integer(0)};
  copy.time = read_sample(object);
  object.finish();
  return copy;
}

Interference read_interference(JsonObject object) {
  Interference interference;
  interference.compute = object.required("compute").text();
  interference.communication = object.required("communication").text();
  interference.slowdown = object.required("slowdown").positive_number();
  interference.communication_slowdown = object.required("communication_slowdown").positive_number();
  interference.samples = object.required("samples").integer(0);
  object.finish();
  return interference;
}

DeviceState read_state(JsonObject object) {
  DeviceState state;
  state.gpu = static_cast<int>(object.required("gpu").integer(0, kMostDevices));
  state.after = object.required("after").text();
  state.clock_mhz = object.required("clock_mhz").number(0);
  state.memory_clock_mhz = object.required("memory_clock_mhz").number(0);
  state.power_w = object.required("power_w").number(0);
  state.temperature_c = object.required("temperature_c").number();
  object.finish();
  return state;
}

template <typename T, typename Read>
std::vector<T> read_rows(JsonObject& object, const std::string& key, Read read) {
  std::vector<T> rows;
  for (const JsonValue& value : object.required(key).array()) rows.push_back(read(value.object()));
  return rows;
}

/// As read_rows, for a key that may be left out.
template <typename T, typename Read>
std::vector<T> read_optional_rows(JsonObject& object, const std::string& key, Read read) {
  return object.optional(key) ? read_rows<T>(object, key, read) : std::vector<T>{};
}

Sample read_whole_sample(JsonObject object) {
  const Sample sample = read_sample(object);
  object.finish();
  return sample;
}

IssueSamples read_issue(JsonObject object) {
  IssueSamples issue;
  issue.task = read_whole_sample(object.required("task").object());
  issue.record = read_whole_sample(object.required("record").object());
  issue.wait = read_whole_sample(object.required("wait").object());
  object.finish();
  return issue;
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
  write_sample(object, op.time);
  if (op.multiprocessors) object["multiprocessors"] = *op.multiprocessors;
  if (op.launches != 1) object["launches"] = op.launches;
  if (!op.choice.empty()) object["choice"] = op.choice;
  return object;
}

Json copy_json(const ProfiledCopy& copy) {
  Json object{{"source", static_cast<std::int32_t>(copy.source)},
              {"destination", static_cast<std::int32_t>(copy.destination)},
              {"bytes", copy.bytes.count}};
  write_sample(object, copy.time);
  if (!copy.path.empty()) object["path"] = copy.path;
  return object;
}

Json copies_json(const ProfiledCopies& copies) {
  Json pairs = Json::array();
  for (const auto& pair : copies.pairs) {
    pairs.push_back({{"source", static_cast<std::int32_t>(pair.source)},
                     {"destination", static_cast<std::int32_t>(pair.destination)}});
  }
  return with_sample({{"pairs", std::move(pairs)}, {"bytes", copies.bytes.count}}, copies.time);
}

Json host_copy_json(const HostCopy& copy) {
  return with_sample({{"device", static_cast<std::int32_t>(copy.device)},
                      {"direction", copy.to_device ? "to_device" : "from_device"},
                      {"bytes", copy.bytes.count}},
                     copy.time);
}

Json interference_json(const Interference& one) {
  return {{"compute", one.compute},
          {"communication", one.communication},
          {"slowdown", one.slowdown},
          {"communication_slowdown", one.communication_slowdown},
          {"samples", one.samples}};
}

Json issue_json(const IssueSamples& issue) {
  return {{"task", with_sample(Json::object(), issue.task)},
          {"record", with_sample(Json::object(), issue.record)},
          {"wait", with_sample(Json::object(), issue.wait)}};
}

Json state_json(const DeviceState& state) {
  return {{"gpu", state.gpu},
          {"after", state.after},
          {"clock_mhz", state.clock_mhz},
          {"memory_clock_mhz", state.memory_clock_mhz},
          {"power_w", state.power_w},
          {"temperature_c", state.temperature_c}};
}

Json collective_json(const ProfiledCollective& collective) {
  return with_sample({{"operation", name(collective.kind)},
                      {"ranks", collective.ranks},
                      {"bytes", collective.bytes.count}},
                     collective.time);
}

Json layer_json(const ProfiledLayer& layer) {
  return {{"model", layer.model},
          {"layer", layer.layer},
          {"tp", layer.tp},
          {"micro_batch", layer.micro_batch},
          {"forward_s", json_seconds(layer.times.forward)},
          {"backward_s", json_seconds(layer.times.backward)},
          {"update_s", json_seconds(layer.times.update)}};
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
  if (const auto source = root.optional("source")) profile.source = source->text();
  profile.device = read_machine(root.required("device").object());
  profile.ops = read_rows<ProfiledOp>(root, "ops", read_op);
  profile.copies = read_rows<ProfiledCopy>(root, "copies", read_copy);
  profile.collectives = read_rows<ProfiledCollective>(root, "collectives", read_collective);
  profile.dispatch = read_whole_sample(root.required("dispatch").object());
  profile.handover = read_whole_sample(root.required("handover").object());
  profile.barrier = read_whole_sample(root.required("barrier").object());
  profile.fits = read_rows<LineFit>(root, "fits", read_fit);
  profile.layers = read_optional_rows<ProfiledLayer>(root, "layers", read_layer);
  profile.copies_together =
      read_optional_rows<ProfiledCopies>(root, "copies_together", read_copies);
  profile.host_copies = read_optional_rows<HostCopy>(root, "host_copies", read_host_copy);
  profile.interference = read_optional_rows<Interference>(root, "interference", read_interference);
  if (const auto issue = root.optional("issue")) profile.issue = read_issue(issue->object());
  profile.states = read_optional_rows<DeviceState>(root, "states", read_state);
  root.finish();
  return profile;
}

std::string to_json(const Profile& profile) {
  const Profile::Device& device = profile.device;
  Json document = {{"schema", "foreplan.profile/1"},
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
  if (!profile.source.empty()) document["source"] = profile.source;
  if (device.logical) document["device"]["logical"] = true;
  if (profile.issue) document["issue"] = issue_json(*profile.issue);
  const auto add = [&](const char* key, const auto& rows, auto write) {
    if (!rows.empty()) document[key] = rows_json(rows, write);
  };
  add("layers", profile.layers, layer_json);
  add("copies_together", profile.copies_together, copies_json);
  add("host_copies", profile.host_copies, host_copy_json);
  add("interference", profile.interference, interference_json);
  add("states", profile.states, state_json);
  return document_text(document);
}

}  // namespace foreplan
