#include "planner/unit_memory.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "planner/ceil_div.hpp"
#include "planner/tensor_split.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

/// Far beyond any memory; below it stages add up without overflow.
constexpr Bytes kMostBytes{std::int64_t{1} << 58};

using Kind = SavedItem::Kind;
using When = SavedBytes::When;

class UnitMemory {
 public:
  UnitMemory(const OpGraph& model, const UnitRange& range, const UnitSetting& setting,
             const std::vector<Sharding>& shardings, UnitWork& work)
      : model_(model), range_(range), setting_(setting), shardings_(shardings), work_(work) {}

  void add() {
    work_.entering = entering_bytes();
    unit_.entering = work_.entering;
    note_kept_products();
    for (const SavedItem& item : saved_items(model_, range_.first, range_.last, sizing())) {
      add_item(item);
    }
    if (keeps_operations()) add_kept_products();
    if (setting_.cp > 1 && setting_.stack.context_heads) add_outcomes();
    for (LayerId id = range_.first; id <= range_.last; id = layer_after(id)) add_layer(id);
    if (setting_.sp) add_gathered();
    work_.working = working_set(unit_);
    const Bytes most = work_.saved + std::max(work_.working.forward, work_.working.backward);
    if (most > kMostBytes) reject("strategy: a rank's part of a micro-batch is over 2^58 bytes");
  }

 private:
  std::size_t place(LayerId id) const {
    return static_cast<std::size_t>(id) - static_cast<std::size_t>(range_.first);
  }
  bool inside(LayerId id) const { return id >= range_.first && id <= range_.last; }
  Sharding sharding(LayerId id) const { return shardings_[static_cast<std::size_t>(id)]; }
  bool keeps_operations() const {
    return setting_.stack.selective == SelectiveRecompute::operations;
  }

  SequenceLengths lengths() const {
    return {.source = ceil_div(setting_.lengths.source, setting_.cp),
            .target = ceil_div(setting_.lengths.target, setting_.cp)};
  }
  Sizing sizing() const {
    return {.samples = setting_.samples,
            .lengths = lengths(),
            .dtype = setting_.dtype,
            .products = setting_.products,
            .saved_fp8_inputs = setting_.stack.saved_fp8_inputs,
            .fused_attention = setting_.stack.fused_attention,
            .fused_activations = setting_.stack.kernels.fused_elementwise,
            .fused_loss = setting_.stack.loss == LossKernel::fused ||
                          setting_.stack.loss == LossKernel::logits};
  }

  std::int64_t rows(LayerId id) const {
    return setting_.samples * model_.layer(id).positions.count(lengths());
  }
  /// A layer's output, of all ranks of tp.
  Bytes whole(LayerId id) const {
    if (id == kModelInput) {
      return setting_.samples * model_.input_positions().count(lengths()) *
             model_.input_features() * element_size(setting_.dtype);
    }
    if (model_.layer(id).kind == LayerKind::flatten) return {};
    return rows(id) * model_.layer(id).out_features * element_size(setting_.dtype);
  }
  bool by_features(LayerId producer) const {
    return producer >= LayerId{0} && output_is_split(sharding(producer));
  }
  /// How many ranks of tp share the output of a layer, or what enters.
  std::int64_t shares(LayerId producer) const {
    return by_features(producer) || setting_.sp ? setting_.tp : 1;
  }
  Bytes mine(LayerId id) const { return Bytes{ceil_div(whole(id).count, shares(id))}; }

  Bytes entering_bytes() const {
    const Block block{.name = {}, .first = range_.first, .last = range_.last};
    Bytes bytes = block_input(model_, block, sizing());
    if (bytes == Bytes{} && model_.flat() && range_.first > LayerId{0}) {
      bytes = whole(model_.inputs(range_.first).front());
    }
    return Bytes{ceil_div(bytes.count, setting_.sp ? setting_.tp : 1)};
  }

  /// Of an "operations" stack: every second product, the first one among them.
  void note_kept_products() {
    bool kept = true;
    for (LayerId id = range_.first; id <= range_.last; id = layer_after(id)) {
      if (model_.layer(id).kind != LayerKind::linear) continue;
      if (kept) kept_.insert(id);
      kept = !kept;
    }
  }

  bool anew(const SavedItem& item) const {
    if (!keeps_operations()) return recomputed_selectively(model_, item);
    if (item.kind == Kind::tensor) {
      return inside(item.producer) && kept_.count(item.producer) == 0 &&
             model_.layer(item.producer).kind != LayerKind::attention;
    }
    return model_.layer(item.owner).kind != LayerKind::attention;
  }

  void add_item(const SavedItem& item) {
    const bool tensor = item.kind == Kind::tensor || item.kind == Kind::fp8_copy;
    const bool split =
        tensor ? by_features(item.producer) : sharding(item.owner) != Sharding::replicated;
    const bool of_scores = recomputed_selectively(model_, item);
    // Scores are of the rank's queries with the keys of all ranks of cp.
    Bytes bytes = of_scores ? item.bytes * setting_.cp : item.bytes;
    bytes = Bytes{ceil_div(bytes.count, split || setting_.sp ? setting_.tp : 1)};
    const bool again = anew(item);
    work_.items.push_back({.bytes = bytes,
                           .when = again ? When::unless_selective : When::always,
                           .entering = item.kind == Kind::tensor && item.producer == kBlockInput});
    work_.saved += bytes;
    if (!again) work_.saved_selectively += bytes;
    WorkingItem working{.bytes = bytes, .owner = place(item.owner)};
    if (item.kind == Kind::tensor) {
      working.tensor.emplace();
      if (inside(item.producer)) *working.tensor = place(item.producer);
      if (item.producer == kBlockInput) work_.entering_saved = bytes;
      saved_tensors_.insert(item.producer);
    }
    unit_.items.push_back(working);
  }

  void add_kept_products() {
    for (const LayerId id : kept_) {
      if (saved_tensors_.count(id) != 0) continue;
      work_.items.push_back({.bytes = mine(id), .when = When::selective});
      work_.saved_selectively += mine(id);
    }
    if (saved_tensors_.count(kBlockInput) != 0) return;
    work_.items.push_back({.bytes = work_.entering, .when = When::selective});
    work_.saved_selectively += work_.entering;
  }

  /// Heads are exchanged: attention keeps its outcome, what reads it that of the rank's tokens.
  void add_outcomes() {
    for (LayerId id = range_.first; id <= range_.last; id = layer_after(id)) {
      if (model_.layer(id).kind != LayerKind::attention) continue;
      work_.items.push_back({.bytes = mine(id)});
      work_.saved += mine(id);
      work_.saved_selectively += mine(id);
      unit_.items.push_back({.bytes = mine(id), .owner = place(id)});
    }
  }

  void add_layer(LayerId id) {
    const Layer& layer = model_.layer(id);
    WorkingLayer working;
    if (layer.kind != LayerKind::softmax_cross_entropy) working.output = mine(id);
    for (const LayerId input : model_.inputs(id)) {
      if (input == kModelInput) continue;
      working.inputs.push_back(inside(input) ? std::optional(place(input)) : std::nullopt);
    }
    working.passes_gradient = layer.kind == LayerKind::add;
    add_weights(id, working);
    if (layer.kind == LayerKind::attention) add_attention(id, working);
    if (layer.kind == LayerKind::softmax_cross_entropy) add_loss(id, working);
    unit_.layers.push_back(std::move(working));
  }

  void add_weights(LayerId id, WorkingLayer& working) {
    const Stack& stack = setting_.stack;
    const Layer own = sharded(model_.layer(id), sharding(id), setting_.tp);
    const bool experts = own.kind == LayerKind::expert_linear;
    for (const Parameter& parameter : parameters_of(own, id)) {
      const Bytes bytes = ceil_div(parameter.rows * parameter.columns, experts ? setting_.ep : 1) *
                          element_size(setting_.dtype);
      if (!stack.kernels.fused_accumulation) working.backward_temporary.push_back(bytes);
      if (parameter.role != Parameter::Role::weight) continue;
      // Experts share one.
      const std::int64_t alike = experts ? shape_of<ExpertShape>(own).experts / setting_.ep : 1;
      add_placeholder(Bytes{ceil_div(bytes.count, std::max<std::int64_t>(1, alike))});
    }
    if (own.kind == LayerKind::linear && own.tied_to) {
      add_placeholder(own.in_features * own.out_features * element_size(setting_.dtype));
    }
  }

  void add_placeholder(Bytes bytes) {
    const Stack& stack = setting_.stack;
    if (stack.kernels.fused_accumulation && stack.placeholder_gradients)
      work_.placeholders += bytes;
  }

  void add_attention(LayerId id, WorkingLayer& working) const {
    const auto& s = shape_of<AttentionShape>(model_.layer(id));
    const std::int64_t heads = ceil_div(s.heads, setting_.tp);
    if (setting_.stack.fused_attention) {
      working.backward_temporary.push_back(Bytes{4 * rows(id) * heads * s.qk_features});
      return;
    }
    const std::int64_t keys = setting_.cp * model_.operand_positions(id)[1].count(lengths());
    const Bytes scores = rows(id) * heads * s.seen(keys) * element_size(setting_.dtype);
    working.forward_temporary.push_back(scores);
    working.backward_temporary.insert(working.backward_temporary.end(), 2, scores);
  }

  void add_loss(LayerId id, WorkingLayer& working) const {
    const LossKernel loss = setting_.stack.loss;
    working.in_place = loss == LossKernel::fused;
    if (loss == LossKernel::fused || loss == LossKernel::logits) return;
    const bool split = sharding(id) != Sharding::replicated || setting_.sp;
    const std::int64_t logits =
        ceil_div(rows(id) * model_.layer(id).in_features, split ? setting_.tp : 1);
    if (element_size(setting_.dtype).count < 4) {
      working.forward_temporary.push_back(Bytes{4 * logits});
    }
    // Two gradients in fp32, then one of them and that in the logits' format, which is counted as made.
    if (loss == LossKernel::torch) {
      working.backward_temporary = {Bytes{4 * logits},
                                    Bytes{4 * logits} - logits * element_size(setting_.dtype)};
    }
  }

  /// With sequence parallelism a tensor is whole only around the products that need it so.
  void add_gathered() {
    for (const RegionEdge& edge : entering_edges(model_, range_.first, range_.last, shardings_)) {
      for (const LayerId id : edge.consumers) {
        const Bytes bytes =
            inside(edge.producer) ? whole(edge.producer) : setting_.tp * unit_.entering;
        hold(id, bytes, 1, 2);
      }
    }
    for (const LayerId id : leaving_layers(range_.first, range_.last, shardings_)) {
      hold(id, whole(id), 1, 1);
    }
  }

  void hold(LayerId id, Bytes bytes, std::size_t forward, std::size_t backward) {
    WorkingLayer& layer = unit_.layers[place(id)];
    layer.forward_temporary.insert(layer.forward_temporary.end(), forward, bytes);
    layer.backward_temporary.insert(layer.backward_temporary.end(), backward, bytes);
  }

  const OpGraph& model_;
  const UnitRange& range_;
  const UnitSetting& setting_;
  const std::vector<Sharding>& shardings_;
  UnitWork& work_;
  WorkingUnit unit_;
  std::set<LayerId> kept_, saved_tensors_;
};

}  // namespace

void add_memory(const OpGraph& model, const UnitRange& range, const UnitSetting& setting,
                const std::vector<Sharding>& shardings, UnitWork& work) {
  UnitMemory(model, range, setting, shardings, work).add();
}

}  // namespace foreplan
