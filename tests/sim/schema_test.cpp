// The JSON Schema files say the same as the readers and writers: what is written, and what the
// documentation's examples hold, is valid; what the readers refuse for its shape is not.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "sim/collective.hpp"
#include "sim/measurement_io.hpp"
#include "sim/profile_io.hpp"
#include "sim/task_graph_io.hpp"

namespace foreplan {
namespace {

using nlohmann::json;

/// As much of JSON Schema as the files in docs/schema use.
class Schema {
 public:
  explicit Schema(const std::string& kind) {
    std::ifstream stream(FOREPLAN_SOURCE_DIR "/docs/schema/" + kind + ".json");
    root_ = json::parse(stream);
  }

  bool valid(const json& value) const { return valid(value, root_); }

 private:
  static bool is_a(const json& value, const std::string& type) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_boolean();
    if (type == "null") return value.is_null();
    if (type == "number") return value.is_number();
    EXPECT_EQ(type, "integer");
    return value.is_number() && value.get<double>() == std::floor(value.get<double>());
  }

  bool valid(const json& value, const json& schema) const {
    for (const auto& [key, rule] : schema.items()) {
      if (!holds(value, schema, key, rule)) return false;
    }
    return true;
  }

  bool holds(const json& value, const json& schema, const std::string& key,
             const json& rule) const {
    const auto matches = [&](const json& one) { return valid(value, one); };
    if (key == "$ref")
      return valid(value, root_.at(json::json_pointer(std::string(rule).substr(1))));
    if (key == "oneOf") return std::count_if(rule.begin(), rule.end(), matches) == 1;
    if (key == "anyOf") return std::any_of(rule.begin(), rule.end(), matches);
    if (key == "const") return value == rule;
    if (key == "enum") return std::find(rule.begin(), rule.end(), value) != rule.end();
    if (key == "type") return has_type(value, rule);
    if (value.is_object()) return holds_for_object(value, schema, key, rule);
    if (value.is_array()) return holds_for_array(value, key, rule);
    if (key == "minimum") return !value.is_number() || value >= rule;
    if (key == "maximum") return !value.is_number() || value <= rule;
    if (key == "exclusiveMinimum") return !value.is_number() || value > rule;
    if (key == "minLength") return !value.is_string() || std::string(value).size() >= rule;
    return true;
  }

  static bool has_type(const json& value, const json& rule) {
    if (rule.is_string()) return is_a(value, rule);
    return std::any_of(rule.begin(), rule.end(), [&](const json& one) { return is_a(value, one); });
  }

  bool holds_for_object(const json& value, const json& schema, const std::string& key,
                        const json& rule) const {
    if (key == "required") {
      return std::all_of(rule.begin(), rule.end(),
                         [&](const json& name) { return value.contains(std::string(name)); });
    }
    const json none = json::object();
    const json& known = schema.contains("properties") ? schema["properties"] : none;
    for (const auto& [name, entry] : value.items()) {
      const bool is_known = known.contains(name);
      if (key == "properties" && is_known && !valid(entry, rule[name])) return false;
      if (key == "propertyNames" && !valid(name, rule)) return false;
      if (key == "additionalProperties" && !is_known && (rule == false || !valid(entry, rule))) {
        return false;
      }
    }
    return true;
  }

  bool holds_for_array(const json& value, const std::string& key, const json& rule) const {
    if (key == "minItems") return value.size() >= rule;
    if (key == "maxItems") return value.size() <= rule;
    if (key == "uniqueItems")
      return std::set<json>(value.begin(), value.end()).size() == value.size();
    return key != "items" || std::all_of(value.begin(), value.end(),
                                         [&](const json& entry) { return valid(entry, rule); });
  }

  json root_;
};

/// Whether `document` is still valid with `value` at `pointer`.
bool valid_with(const std::string& kind, json document, const std::string& pointer, json value) {
  document[json::json_pointer(pointer)] = std::move(value);
  return Schema(kind).valid(document);
}

TEST(ProfileSchema, DescribesWhatIsWritten) {
  Profile profile;
  profile.ops = {{.key = {.op = "relu", .shape = {7}}, .flops = {7}, .traffic = {}, .time = {}}};
  profile.copies = {{DeviceId{0}, DeviceId{1}, {}, {}}};
  profile.collectives = {{CollectiveKind::all_gather, 2, {}, {}}};
  profile.fits.emplace_back().variable = "bytes";
  profile.fits[0].per_s = 1;
  profile.device.logical = true;
  profile.ops[0].multiprocessors = 0.5;
  profile.ops[0].choice = "tile 3";
  profile.ops[0].launches = 2;
  profile.copies[0].path = "peer";
  profile.copies_together = {{{{DeviceId{0}, DeviceId{1}}}, {}, {}}};
  profile.host_copies = {{DeviceId{0}, true, {}, {}}};
  profile.interference = {{"matmul", "copy", 1, 1, 0}};
  profile.issue.emplace();
  profile.states = {{0, "start", 1, 1, 1, 30}};
  const json document = json::parse(to_json(profile));
  EXPECT_TRUE(Schema("profile").valid(document));
  EXPECT_FALSE(valid_with("profile", document, "/schema", "foreplan.profile/2"));
  EXPECT_FALSE(valid_with("profile", document, "/ops/0/shape/0", 0));
  EXPECT_FALSE(valid_with("profile", document, "/ops/0/pass", "sideways"));
  EXPECT_FALSE(valid_with("profile", document, "/fits/0/per_s", 0));
  EXPECT_FALSE(valid_with("profile", document, "/barrier/typo", 0));
  EXPECT_FALSE(valid_with("profile", document, "/ops/0/multiprocessors", 1.5));
  EXPECT_FALSE(valid_with("profile", document, "/copies_together/0/pairs", json::array()));
  EXPECT_FALSE(valid_with("profile", document, "/host_copies/0/direction", "up"));
  EXPECT_FALSE(valid_with("profile", document, "/interference/0/slowdown", 0));
  EXPECT_FALSE(valid_with("profile", document, "/issue/typo", 0));
}

TEST(MeasurementSchema, DescribesWhatIsWritten) {
  Measurement measurement;
  measurement.global_batch = 1;
  measurement.tasks.emplace_back();
  measurement.losses = {1, std::nan("")};
  const json document = json::parse(to_json(measurement));
  EXPECT_TRUE(Schema("measurement").valid(document));
  EXPECT_FALSE(valid_with("measurement", document, "/losses/0", "low"));
  EXPECT_FALSE(valid_with("measurement", document, "/global_batch", 0));
}

TEST(TaskGraphSchema, DescribesWhatIsWritten) {
  TaskGraphBuilder builder(2);
  CollectiveSpec spec{.group = {DeviceId{0}, DeviceId{1}}, .bytes = {8}};
  for (const DeviceId device : spec.group) {
    const Buffer buffer{.device = device, .bytes = {8}, .persistent = true};
    spec.data.push_back({builder.add_buffer(buffer), {}, {8}});
  }
  expand_collective(builder, spec);
  const Op op{
      .key = {.op = "relu", .shape = {1}}, .flops = {}, .traffic = {}, .given = Duration{7}};
  builder.add({.kind = TaskKind::host, .op = builder.add_op(op), .micro_batch = 0});
  const json document = json::parse(to_json(std::move(builder).build()));
  EXPECT_TRUE(Schema("task_graph").valid(document));
  EXPECT_FALSE(valid_with("task_graph", document, "/tasks/0/bytes", -1));
  EXPECT_FALSE(valid_with("task_graph", document, "/tasks/0/kind", "compute"));
  EXPECT_FALSE(valid_with("task_graph", document, "/collectives/0/group", {0, 0}));
}

TEST(TaskGraphSchema, KnowsEveryKindOfTask) {
  json document = json::parse(R"({"schema": "foreplan.task_graph/1", "tasks": [
    {"id": "a", "kind": "host", "device": 0, "duration_s": 1},
    {"id": "b", "kind": "collective", "operation": "all_to_all", "group": [0, 1], "bytes": 8,
     "stream": "collective", "after": ["a"]}]})");
  EXPECT_TRUE(Schema("task_graph").valid(document));
  EXPECT_FALSE(valid_with("task_graph", document, "/tasks/1/device", 0));
  EXPECT_TRUE(valid_with("task_graph", document, "/tasks/1/algorithm", "auto"));
  EXPECT_TRUE(valid_with("task_graph", document, "/tasks/1/operation", "broadcast"));
  EXPECT_FALSE(valid_with("task_graph", document, "/tasks/1/algorithm", "best"));
  EXPECT_FALSE(valid_with("task_graph", document, "/tasks/1/across", "hierarchical"));
  document["tasks"][0].erase("duration_s");
  EXPECT_FALSE(Schema("task_graph").valid(document));
}

TEST(ClusterSchema, KnowsBothForms) {
  const json link = {{"bandwidth_bytes_per_s", 1e9}, {"latency_s", 0}};
  const json device = {{"name", "d"},
                       {"memory_bytes", 1},
                       {"peak_flops_per_s", {{"fp32", 1e12}}},
                       {"memory_bandwidth_bytes_per_s", 1e12}};
  json brief = {{"schema", "foreplan.cluster/1"}, {"name", "x"}};
  json full = brief;
  brief["nodes"] = {{{"count", 1}, {"device", "d"}, {"devices_per_node", 2}, {"intra", link}}};
  full["vertices"] = {{{"id", "a"}, {"kind", "device"}, {"device", device}},
                      {{"id", "b"}, {"kind", "switch"}}};
  full["links"] = {link};
  full["links"][0].update({{"from", "a"}, {"to", "b"}});
  EXPECT_TRUE(Schema("cluster").valid(brief));
  EXPECT_TRUE(Schema("cluster").valid(full));
  EXPECT_FALSE(valid_with("cluster", brief, "/vertices", full["vertices"]));
  EXPECT_FALSE(valid_with("cluster", full, "/vertices/1/device", "d"));
  EXPECT_FALSE(valid_with("cluster", full, "/vertices/0/device/peak_flops_per_s/fp12", 1));
  EXPECT_FALSE(valid_with("cluster", brief, "/nodes/0/count", 0));
}

TEST(ModelSchema, KnowsTheKeysOfEveryKindOfLayer) {
  std::ifstream stream(FOREPLAN_SOURCE_DIR "/tests/fuzz/seeds/model/images.json");
  const json images = json::parse(stream);
  EXPECT_TRUE(Schema("model").valid(images));
  EXPECT_FALSE(valid_with("model", images, "/input/features", 4));
  EXPECT_FALSE(valid_with("model", images, "/layers/0/kernel", {3, 2, 1}));
  EXPECT_FALSE(valid_with("model", images, "/layers/0/out_features", 4));
  EXPECT_FALSE(valid_with("model", images, "/layers/2/bias", true));
  EXPECT_FALSE(valid_with("model", images, "/layers/4/inputs", {"r"}));
  EXPECT_FALSE(valid_with("model", images, "/layers/6/type", "global_pool"));
  std::ifstream more(FOREPLAN_SOURCE_DIR "/tests/fuzz/seeds/model/tokens.json");
  const json tokens = json::parse(more);
  EXPECT_TRUE(Schema("model").valid(tokens));
  EXPECT_FALSE(valid_with("model", tokens, "/input/tokens", false));
  EXPECT_FALSE(valid_with("model", tokens, "/layers/6/heads", 0));
  EXPECT_FALSE(valid_with("model", tokens, "/layers/12/tied_to", true));
}

TEST(ModelSchema, KnowsConfigsInThePlaceOfLayers) {
  json document = {{"schema", "foreplan.model/1"},
                   {"name", "m"},
                   {"huggingface", {{"model_type", "gpt2"}, {"any", 1}}},
                   {"published_parameters", {{"count", 12}, {"source", "s"}}}};
  EXPECT_TRUE(Schema("model").valid(document));
  EXPECT_TRUE(valid_with("model", document, "/published_parameters/part", "encoder"));
  EXPECT_FALSE(valid_with("model", document, "/published_parameters/part", "half"));
  EXPECT_FALSE(valid_with("model", document, "/published_parameters/count", 0));
  EXPECT_FALSE(valid_with("model", document, "/huggingface", {{"n_embd", 8}}));
  EXPECT_FALSE(valid_with("model", document, "/parameters", 12));
  document.erase("huggingface");
  EXPECT_FALSE(Schema("model").valid(document));
}

TEST(Schemas, DescribeTheFilesThatAreShipped) {
  for (const auto& [kind, folder] : {std::pair<std::string, std::string>{"device", "devices"},
                                     {"cluster", "clusters"},
                                     {"stack", "stacks"},
                                     {"model", "zoo"}}) {
    const Schema schema(kind);
    for (const auto& entry :
         std::filesystem::directory_iterator(FOREPLAN_SOURCE_DIR "/models/" + folder)) {
      std::ifstream stream(entry.path());
      const json document = json::parse(stream);
      // What is kept as its authors publish it, without a schema, is no concern of ours.
      EXPECT_TRUE(!document.contains("schema") || schema.valid(document)) << entry.path();
    }
  }
}

}  // namespace
}  // namespace foreplan
