#pragma once

#include <cstdint>
#include <vector>

#include "models/activations.hpp"
#include "models/layer_ops.hpp"
#include "models/op_graph.hpp"
#include "models/stack.hpp"
#include "planner/strategy.hpp"
#include "planner/working_set.hpp"
#include "sim/task_graph.hpp"

namespace foreplan {

/// The dimension of the layout over which ranks exchange.
enum class Axis : std::uint8_t { tensor, context, expert };

/// Layers that always stand together on one stage: an instance of a block, or a layer of a flat graph.
struct UnitRange {
  LayerId first{}, last{};
};

/// What a rank does, beside its share of the batch.
struct UnitSetting {
  std::int64_t samples = 1;  ///< of a micro-batch
  SequenceLengths lengths{};
  DType dtype = DType::fp32;        ///< of what is stored
  std::optional<DType> products{};  ///< Sizing::products
  /// Of a number of the gradients that micro-batches are added up in; 0: each is done with at once.
  int accumulated_bytes = 0;
  int tp = 1, cp = 1, ep = 1;
  bool sp = false;
  /// Of a flat graph: the ranks of tp share this layer and those behind it only.
  LayerId split_from{0};
  bool whole_experts = false;  ///< Strategy::deals_whole_experts
  bool memory = true;          ///< to tell what is kept, too; prices hang on none of it
  Stack stack{};
};

/// Data that the ranks of an axis exchange inside a unit.
struct Exchange {
  CollectiveKind kind{};
  Axis axis{};
  Pass pass{};      ///< forward, backward_input
  LayerId layer{};  ///< it belongs to
  Bytes bytes;      ///< Collective::bytes
  int copies = 1;   ///< of each row in them: an expert each (all_to_all)
  /// Layers beside whose work it may run: its own attention (context), else those that split the tensor or
  /// leave it; Pricing tells which of their work.
  std::vector<LayerId> beside;
  Duration time{};  ///< where the groups lie; told by whoever knows that
};

/// The ops of a rank in one layer.
struct LayerWork {
  LayerId layer{};
  LayerOps ops;
  std::int64_t parameters = 0;  ///< of this rank, whose gradients its products make
  bool recomputed_selectively = false;
  bool recomputed = true;  ///< by full recomputation
};

/// Memory that forward leaves for backward.
struct SavedBytes {
  enum class When : std::uint8_t {
    always,
    unless_selective,  ///< selective recomputation computes it anew
    selective,         ///< kept for selective recomputation alone, which goes on from it
  };
  Bytes bytes;
  When when = When::always;
  bool entering = false;  ///< it is what enters the unit
};

/// What one rank does in a unit for a micro-batch, and what it keeps: lowered once, priced many times.
struct UnitWork {
  std::vector<LayerWork> layers;
  std::vector<Exchange> exchanges;
  std::int64_t dense_parameters = 0;   ///< of this rank
  std::int64_t expert_parameters = 0;  ///< of this rank; shared among fewer replicas
  std::int64_t fp8_parameters = 0;     ///< of the two first: those that are multiplied as fp8
  std::int64_t tied_parameters = 0;    ///< of a table that lies in another unit
  std::vector<SavedBytes> items;       ///< in the order in which forward makes them
  Bytes saved;                         ///< activations until backward, nothing recomputed
  Bytes saved_selectively;             ///< the same where recomputation is selective
  WorkingSet working;                  ///< beyond what is kept, nothing recomputed
  Bytes placeholders;                  ///< Stack::placeholder_gradients
  Bytes entering;                      ///< what full recomputation keeps
  Bytes entering_saved;                ///< of `saved`: the same tensor
  Bytes leaving;                       ///< what the next unit gets, of one micro-batch, whole width
};

/// @throws Error(invalid_argument) naming the layer if tp, cp or ep cannot share it, with the reason
UnitWork lower_unit(const OpGraph& model, const UnitRange& range, const UnitSetting& setting);

}  // namespace foreplan
