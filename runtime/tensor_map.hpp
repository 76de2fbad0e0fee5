#pragma once

#include <cstdint>
#include <vector>

#include "models/op_graph.hpp"
#include "runtime/executor.hpp"
#include "runtime/training_options.hpp"

namespace foreplan {

/// A run of elements of one tensor and where it lies.
struct TensorPiece {
  BufferRange range;
  std::int32_t tensor = 0;
  // The block of the tensor that the elements are counted in, row by row, `columns` wide ...
  std::int64_t row = 0, column = 0, columns = 1;
  std::int64_t first = 0;  ///< ... and the element of the block that lies first in the range
};

/// Where one set of a model's tensors (its weights, one state of the optimizer) lies in the buffers
/// of a graph: in pieces, each tensor at least once; replicas lie in several places.
class TensorMap {
 public:
  /// @throws Error(invalid_argument) naming the tensor if a piece lies outside it or an element of
  ///   it lies nowhere
  TensorMap(const OpGraph& model, std::vector<TensorPiece> pieces);

  const std::vector<TensorPiece>& pieces() const { return pieces_; }
  /// Writes whole tensors into every place.
  void scatter(const Tensors& tensors, Executor& executor) const;

  struct Gathered {
    Tensors tensors;
    double divergence = 0;  ///< the largest difference between replicas of one element
  };
  /// Reads whole tensors; of replicas the first piece counts.
  Gathered gather(const Executor& executor) const;

 private:
  std::size_t place(const TensorPiece& piece, std::size_t element) const;

  const OpGraph* model_;
  std::vector<TensorPiece> pieces_;
};

/// Where the weights lie, by the graph's placements.
TensorMap weight_map(const OpGraph& model, const TaskGraph& graph);

/// Where state number `slot` of the optimizer lies: beside the weights in the tasks of the
/// optimizer, which write weights first and then their states.
/// @throws Error(invalid_argument) if a task updates with another optimizer, or a weight is never
///   updated
TensorMap state_map(const OpGraph& model, const TaskGraph& graph, Optimizer optimizer, int slot);

/// "fc1.weight", for messages.
std::string parameter_name(const OpGraph& model, std::int32_t tensor);

}  // namespace foreplan
