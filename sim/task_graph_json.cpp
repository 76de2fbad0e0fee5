#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "sim/json_names.hpp"
#include "sim/json_text.hpp"
#include "sim/task_graph_io.hpp"
#include "sim/task_graph_records.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

/// Makes names unique: the second "a" becomes "a #2".
class UniqueNames {
 public:
  std::string operator()(const std::string& name) {
    std::string unique = name;
    for (int& n = count_[name]; !used_.insert(unique).second;) {
      unique = fmt::format("{} #{}", name, ++n + 1);
    }
    return unique;
  }

 private:
  std::set<std::string> used_;
  std::map<std::string, int> count_;
};

template <typename Id>
std::int32_t number(Id id) {
  return static_cast<std::int32_t>(id);
}

class Writer {
 public:
  explicit Writer(const TaskGraph& graph) : graph_(graph) {
    UniqueNames unique_task, unique_buffer, unique_collective;
    for (std::size_t t = 0; t < graph.size(); ++t) {
      tasks_.push_back(unique_task(task_name(graph, TaskId{static_cast<std::int32_t>(t)})));
    }
    for (std::size_t b = 0; b < graph.buffers.size(); ++b) {
      const std::string& name = graph.buffers[b].name;
      buffers_.push_back(unique_buffer(name.empty() ? fmt::format("buffer {}", b) : name));
    }
    for (std::size_t c = 0; c < graph.collectives.size(); ++c) {
      const std::string& name = graph.collectives[c].name;
      collectives_.push_back(
          unique_collective(name.empty() ? fmt::format("collective {}", c) : name));
    }
  }

  Json document() const {
    Json json = {{"schema", "foreplan.task_graph/1"}, {"devices", graph_.devices}};
    if (graph_.global_batch > 0) json["global_batch"] = graph_.global_batch;
    if (const Json buffers = persistent(); !buffers.empty()) json["persistent"] = buffers;
    if (!graph_.collectives.empty()) json["collectives"] = collectives();
    json["tasks"] = Json::array();
    for (std::size_t t = 0; t < graph_.size(); ++t) json["tasks"].push_back(task(t));
    return json;
  }

 private:
  Json buffer(std::size_t b) const {
    return {{"buffer", buffers_[b]},
            {"bytes", graph_.buffers[b].bytes.count},
            {"category", name(graph_.buffers[b].category)}};
  }

  Json persistent() const {
    Json list = Json::array();
    for (std::size_t b = 0; b < graph_.buffers.size(); ++b) {
      if (!graph_.buffers[b].persistent) continue;
      list.push_back(buffer(b));
      list.back()["device"] = number(graph_.buffers[b].device);
    }
    return list;
  }

  Json collectives() const {
    Json list = Json::array();
    for (std::size_t c = 0; c < graph_.collectives.size(); ++c) {
      const Collective& collective = graph_.collectives[c];
      Json group = Json::array();
      for (const DeviceId device : collective.group) group.push_back(number(device));
      list.push_back({{"id", collectives_[c]},
                      {"operation", name(collective.kind)},
                      {"group", group},
                      {"bytes", collective.bytes.count}});
    }
    return list;
  }

  void add_work(Json& json, std::size_t t) const {
    if (graph_.kind[t] == TaskKind::transfer) {
      json["bytes"] = graph_.bytes[t].count;
      json["source"] = number(graph_.source[t]);
      json["destination"] = number(graph_.device[t]);
      return;
    }
    const Op& op = graph_.ops[index(graph_.op[t])];
    if (op.given) json["duration_s"] = json_seconds(*op.given);
    if (op.given && op.key.op == kGivenOp) return;
    Json& work = json["op"] = Json::object();
    write_op_key(work, op.key);
    work["flops"] = op.flops.count;
    work["bytes_accessed"] = op.traffic.count;
  }

  void add_lists(Json& json, std::size_t t) const {
    for (const TaskId before : graph_.after[t]) json["after"].push_back(tasks_[index(before)]);
    for (const BufferId id : graph_.allocates[t]) json["allocates"].push_back(buffer(index(id)));
    for (const BufferId id : graph_.frees[t]) json["frees"].push_back(buffers_[index(id)]);
  }

  Json task(std::size_t t) const {
    const TaskKind kind = graph_.kind[t];
    Json json = {{"id", tasks_[t]},
                 {"kind", kind == TaskKind::compute    ? "compute"
                          : kind == TaskKind::transfer ? "transfer"
                                                       : "host"},
                 {"device", number(graph_.device[t])}};
    if (graph_.stream[t] != kNoStream)
      json["stream"] = graph_.stream_names[index(graph_.stream[t])];
    add_work(json, t);
    if (graph_.collective[t] >= 0) {
      json["collective"] = collectives_[static_cast<std::size_t>(graph_.collective[t])];
    }
    if (graph_.node[t] >= 0) {
      json["layer"] = graph_.node_names[static_cast<std::size_t>(graph_.node[t])];
    }
    if (graph_.micro_batch[t] >= 0) json["micro_batch"] = graph_.micro_batch[t];
    add_lists(json, t);
    return json;
  }

  const TaskGraph& graph_;
  std::vector<std::string> tasks_, buffers_, collectives_;
};

}  // namespace

std::string to_json(const TaskGraph& graph) { return document_text(Writer(graph).document()); }

}  // namespace foreplan
