#include "tools/published_tables.hpp"

#include <algorithm>
#include <array>

#include "sim/json_names.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {
namespace {

constexpr int kMostInNode = 1024;

PublishedHardware::Nics read_nics(JsonObject& object) {
  PublishedHardware::Nics nics{
      .per_node = static_cast<int>(object.required("nics_per_node").integer(1, kMostInNode)),
      .bandwidth = {object.required("nic_bandwidth_bytes_per_s").positive_number()}};
  if (const auto share = object.optional("nic_efficiency")) nics.efficiency = share->share();
  if (const auto rate = object.optional("nic_flow_bandwidth_bytes_per_s")) {
    nics.flow = {rate->positive_number()};
  }
  if (const auto latency = object.optional("nic_latency_s")) nics.latency = read_seconds(*latency);
  if (const auto setup = object.optional("nic_setup_s")) nics.setup = read_seconds(*setup);
  return nics;
}

void read_gpu(JsonObject object, PublishedHardware& hardware) {
  const JsonValue name = object.required("gpu");
  PublishedHardware::Gpu gpu{.device = object.required("device").text(), .nics = read_nics(object)};
  if (const auto domain = object.optional("nvlink_domain")) {
    gpu.nvlink_domain = static_cast<int>(domain->integer(2, kMostInNode));
  }
  object.required("source").text();
  object.finish();
  if (!hardware.gpus.emplace(name.text(), gpu).second) name.expected("a name of its own");
}

void read_network(JsonObject object, PublishedHardware& hardware) {
  const JsonValue name = object.required("interconnect");
  const PublishedHardware::Nics nics = read_nics(object);
  if (const auto source = object.optional("source")) source->text();
  object.finish();
  if (!hardware.networks.emplace(name.text(), nics).second) name.expected("a name of its own");
}

std::string text_or_empty(JsonObject& object, const char* key) {
  const auto value = object.optional(key);
  return value ? value->text() : std::string();
}

std::optional<Recompute> recompute_or_none(JsonObject& object, const char* key) {
  const auto value = object.optional(key);
  if (!value) return std::nullopt;
  const std::string text = value->text();
  for (const Recompute recompute : kRecomputes) {
    if (text == name(recompute)) return recompute;
  }
  value->expected("none, selective or full");
}

PublishedSource read_source(JsonObject object) {
  PublishedSource source{.source = object.required("source").text(),
                         .id = text_or_empty(object, "id"),
                         .precision = text_or_empty(object, "precision"),
                         .note = text_or_empty(object, "note"),
                         .stack = object.required("stack").text()};
  source.profile = text_or_empty(object, "profile");
  if (const auto multiple = object.optional("vocabulary_multiple")) {
    source.vocabulary_multiple = multiple->integer(1, 1'000'000);
  }
  if (const auto cut = object.optional("vocabulary_cut")) source.vocabulary_cut = cut->boolean();
  if (const auto dropout = object.optional("dropout")) source.dropout = dropout->boolean();
  if (const auto sp = object.optional("sp")) source.sp = sp->boolean();
  if (const auto zero = object.optional("zero"))
    source.zero = static_cast<int>(zero->integer(0, 3));
  if (const auto packed = object.optional("packed_tokens")) {
    source.packed = packed->integer(1, 1'000'000);
  }
  source.recompute = recompute_or_none(object, "recompute");
  if (const auto every = object.optional("recompute_every")) {
    source.recompute_every = static_cast<int>(every->integer(1, 1'000));
  }
  if (const auto vpp = object.optional("vpp")) {
    source.vpp = static_cast<int>(vpp->integer(1, 1'000));
  }
  if (const auto tied = object.optional("tied")) source.tied = tied->boolean();
  source.recompute_instead = recompute_or_none(object, "recompute_instead");
  if (const auto apart = object.optional("layers_timed_apart")) {
    source.layers_timed_apart = apart->boolean();
  }
  if (const auto positions = object.optional("positions")) {
    source.alibi = positions->text() == "alibi";
    if (!source.alibi && positions->text() != "learned") {
      positions->expected("\"alibi\" or \"learned\"");
    }
  }
  object.finish();
  return source;
}

PublishedSplit::Rule read_rule(JsonObject object) {
  PublishedSplit::Rule rule{.source = object.required("source").text(),
                            .model = text_or_empty(object, "model"),
                            .gpu = text_or_empty(object, "gpu")};
  const JsonValue split = object.required("split");
  rule.fit = split.text() == "fit";
  if (!rule.fit && split.text() != "test") split.expected("\"fit\" or \"test\"");
  object.required("why").text();
  object.finish();
  return rule;
}

}  // namespace

bool is_published_table(const std::filesystem::path& file) {
  const std::string name = file.filename().string();
  constexpr std::array kTables{"calibration.json", "hardware.json", "sources.json", "split.json"};
  return std::find(kTables.begin(), kTables.end(), name) != kTables.end();
}

PublishedHardware read_published_hardware(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  JsonObject root = document.root("published_hardware");
  root.required("source").text();
  PublishedHardware hardware{.gpus = {},
                             .networks = {},
                             .intra_latency = read_seconds(root.required("intra_latency_s")),
                             .nic_latency = read_seconds(root.required("nic_latency_s")),
                             .fabric_latency = read_seconds(root.required("fabric_latency_s"))};
  for (const JsonValue& value : root.required("gpus").array()) read_gpu(value.object(), hardware);
  for (const JsonValue& value : root.required("networks").array()) {
    read_network(value.object(), hardware);
  }
  root.finish();
  return hardware;
}

const PublishedSource* PublishedSources::find(const std::string& source,
                                              const PublishedRow& row) const {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const PublishedSource& entry) {
    return entry.source == source && row.id.starts_with(entry.id) &&
           row.notes.find(entry.note) != std::string::npos &&
           (entry.precision.empty() || entry.precision == row.training.precision);
  });
  return found == rows.end() ? nullptr : &*found;
}

PublishedSources read_published_sources(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  JsonObject root = document.root("published_sources");
  root.required("source").text();
  PublishedSources sources;
  for (const JsonValue& value : root.required("rows").array()) {
    sources.rows.push_back(read_source(value.object()));
  }
  for (const JsonValue& value : root.required("models").array()) {
    JsonObject model = value.object();
    const std::string name = model.required("name").text();
    sources.models[name] = model.required("zoo").text();
    model.finish();
  }
  root.finish();
  return sources;
}

bool PublishedSplit::fits(const std::string& source, const PublishedRow& row) const {
  const auto found = std::find_if(rules_.begin(), rules_.end(), [&](const Rule& rule) {
    return rule.source == source && row.model.name.starts_with(rule.model) &&
           row.hardware.gpu.starts_with(rule.gpu);
  });
  return found != rules_.end() && found->fit;
}

PublishedSplit read_published_split(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  JsonObject root = document.root("published_split");
  root.required("source").text();
  std::vector<PublishedSplit::Rule> rules;
  for (const JsonValue& value : root.required("rows").array()) {
    rules.push_back(read_rule(value.object()));
  }
  root.finish();
  return PublishedSplit(std::move(rules));
}

}  // namespace foreplan
