#include "planner/executed_work.hpp"

#include <algorithm>
#include <utility>

#include "models/op_cost.hpp"
#include "planner/ceil_div.hpp"

namespace foreplan {
namespace {

class UnitExecution {
 public:
  UnitExecution(const OpGraph& model, const UnitRange& range, const UnitSetting& setting,
                const std::vector<Sharding>& shardings, UnitWork& work)
      : model_(model), range_(range), setting_(setting), shardings_(shardings), work_(work) {}

  void run() {
    for (LayerWork& layer : work_.layers) execute(layer);
    if (is_executable(model_)) return;
    if (kernels().fused_projections) merge_projections();
    add_joins();
    if (setting_.accumulated_bytes > 0) accumulate_gradients();
    if (kernels().stops_recomputing) stop_recomputing();
  }

 private:
  const KernelFeatures& kernels() const { return setting_.stack.kernels; }
  Sharding sharding(LayerId id) const { return shardings_[static_cast<std::size_t>(id)]; }
  LayerWork& work_of(LayerId id) {
    return work_.layers[static_cast<std::size_t>(id) - static_cast<std::size_t>(range_.first)];
  }
  bool merged(LayerId id) const {
    return std::find(merged_.begin(), merged_.end(), id) != merged_.end();
  }
  Op whole_op(const char* name, std::int64_t numbers) const {
    return make_op({.op = name, .shape = {numbers}, .dtype = setting_.dtype});
  }

  void execute(LayerWork& layer) const {
    KernelFeatures features = kernels();
    // Nothing is added behind the dropout of unfused attention.
    if (model_.layer(layer.layer).kind == LayerKind::attention) features.fused_elementwise = false;
    LayerOps& ops = layer.ops;
    for (auto* pass : {&ops.forward, &ops.backward_input, &ops.backward_weight}) {
      for (Op& op : *pass) execute_as(features, op);
    }
  }

  /// Linears with one input, the first of which does the others' work.
  void merge_projections() {
    for (LayerId id = range_.first; id <= range_.last; id = layer_after(id)) {
      if (!merges(id)) continue;
      for (LayerId other = range_.first; other < id; other = layer_after(other)) {
        if (!merges(other) || model_.inputs(other) != model_.inputs(id)) continue;
        if (sharding(other) != sharding(id)) continue;
        merge(work_of(other), work_of(id));
        merged_.push_back(id);
        break;
      }
    }
  }

  bool merges(LayerId id) const {
    const Layer& layer = model_.layer(id);
    const bool product = layer.kind == LayerKind::linear || layer.kind == LayerKind::expert_linear;
    return product && !layer.tied_to && !merged(id) &&
           layer.positions == model_.operand_positions(id).front();
  }

  static void merge(LayerWork& into, LayerWork& from) {
    merge(into.ops.forward, from.ops.forward);
    merge(into.ops.backward_input, from.ops.backward_input);
    merge(into.ops.backward_weight, from.ops.backward_weight);
    into.parameters += std::exchange(from.parameters, 0);
  }

  /// Products of one input, side by side: the columns add up.
  static void merge(std::vector<Op>& into, std::vector<Op>& from) {
    if (into.empty() || from.empty()) return;
    OpKey key = into.front().key;
    const double launches = into.front().launches;
    key.shape.back() += from.front().key.shape.back();
    if (from.front().key.op == "linear") key.op = "linear";
    into.front() = make_op(std::move(key));
    into.front().launches = launches;
    from.erase(from.begin());
  }

  void add_joins() {
    for (LayerId id = range_.first; id <= range_.last; id = layer_after(id)) {
      if (merged(id)) continue;
      const std::vector<LayerId>& inputs = model_.inputs(id);
      for (std::size_t operand = 0; operand < inputs.size(); ++operand) {
        if (!joins(id, inputs[operand])) continue;
        work_of(id).ops.backward_input.push_back(whole_op("add", numbers(id, operand)));
      }
    }
  }

  /// Whether an earlier layer of the unit reads the producer too.
  bool joins(LayerId id, LayerId producer) const {
    if (model_.layer(id).kind == LayerKind::embedding || producer == kModelInput) return false;
    for (LayerId other = range_.first; other < id; other = layer_after(other)) {
      const std::vector<LayerId>& inputs = model_.inputs(other);
      const bool reads = std::find(inputs.begin(), inputs.end(), producer) != inputs.end();
      if (reads && !merged(other)) return true;
    }
    return false;
  }

  /// Of what a layer reads, those that the rank has.
  std::int64_t numbers(LayerId id, std::size_t operand) const {
    const Layer& layer = model_.layer(id);
    const LayerId producer = model_.inputs(id)[operand];
    const SequenceLengths lengths{.source = ceil_div(setting_.lengths.source, setting_.cp),
                                  .target = ceil_div(setting_.lengths.target, setting_.cp)};
    const std::int64_t rows =
        setting_.samples * model_.operand_positions(id)[operand].count(lengths);
    const std::int64_t features = operand_features(layer, operand).value_or(layer.out_features);
    const bool split = producer >= LayerId{0} && output_is_split(sharding(producer));
    return std::max<std::int64_t>(
        1, ceil_div(rows * features, split || setting_.sp ? setting_.tp : 1));
  }

  /// The gradients of weights are added to those of earlier micro-batches, in the product or behind it.
  void accumulate_gradients() {
    const std::int64_t size = element_size(setting_.dtype).count, sum = setting_.accumulated_bytes;
    for (LayerWork& work : work_.layers) {
      if (work.parameters == 0) continue;
      std::vector<Op>& ops = work.ops.backward_weight;
      if (kernels().fused_accumulation && !ops.empty()) {
        ops.front().traffic += Bytes{work.parameters * (2 * sum - size)};
        continue;
      }
      ops.push_back(whole_op("accumulate", work.parameters));
      ops.back().traffic = Bytes{work.parameters * (size + 2 * sum)};
    }
  }

  /// The last layers, of which backward needs no output, are not computed again.
  void stop_recomputing() {
    for (auto work = work_.layers.rbegin(); work != work_.layers.rend(); ++work) {
      const LayerKind kind = model_.layer(work->layer).kind;
      if (kind != LayerKind::linear && kind != LayerKind::add) return;
      work->recomputed = false;
      if (kind == LayerKind::linear) return;
    }
  }

  const OpGraph& model_;
  const UnitRange& range_;
  const UnitSetting& setting_;
  const std::vector<Sharding>& shardings_;
  UnitWork& work_;
  std::vector<LayerId> merged_;  ///< their products are part of another's
};

}  // namespace

void execute_unit(const OpGraph& model, const UnitRange& range, const UnitSetting& setting,
                  const std::vector<Sharding>& shardings, UnitWork& work) {
  UnitExecution(model, range, setting, shardings, work).run();
}

}  // namespace foreplan
