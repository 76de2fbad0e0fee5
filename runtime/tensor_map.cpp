#include "runtime/tensor_map.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "runtime/initialisation.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kElement = sizeof(float);

std::size_t elements(const TensorPiece& piece) {
  return static_cast<std::size_t>(piece.range.bytes.count / kElement);
}

/// Infinite where just one of them is no number.
double difference(float a, float b) {
  if (std::isnan(a) && std::isnan(b)) return 0;
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<double>::infinity();
  return a == b ? 0 : std::fabs(static_cast<double>(a) - static_cast<double>(b));
}

/// The part of `weights` that an update of `updated` reaches, where `state` lies beside it.
void add_overlap(std::vector<TensorPiece>& pieces, const TensorPiece& weights,
                 const BufferRange& updated, const BufferRange& state) {
  if (updated.buffer != weights.range.buffer) return;
  const Bytes begin = std::max(updated.offset, weights.range.offset);
  const Bytes end =
      std::min(updated.offset + updated.bytes, weights.range.offset + weights.range.bytes);
  if (begin >= end) return;
  TensorPiece piece = weights;
  piece.first += (begin - weights.range.offset).count / kElement;
  piece.range = {state.buffer, state.offset + (begin - updated.offset), end - begin};
  pieces.push_back(piece);
}

void check_optimizer(const TaskGraph& graph, TaskId task, Optimizer optimizer) {
  const OpKey& key = graph.ops[index(graph.op[index(task)])].key;
  if (key.op == name(optimizer)) return;
  reject(fmt::format("{}: expected an update by {}, got {}", described(graph, task),
                     name(optimizer), key.op));
}

bool is_update(const TaskGraph& graph, TaskId task) {
  const OpId op = graph.op[index(task)];
  return op != OpId{-1} && graph.ops[index(op)].key.pass == Pass::optimizer;
}

}  // namespace

std::string parameter_name(const OpGraph& model, std::int32_t tensor) {
  constexpr std::array kRoles{"weight", "bias", "gain", "shift"};
  const Parameter& parameter = model.parameters()[static_cast<std::size_t>(tensor)];
  return fmt::format("{}.{}", model.layer(parameter.layer).name,
                     kRoles[static_cast<std::size_t>(parameter.role)]);
}

TensorMap::TensorMap(const OpGraph& model, std::vector<TensorPiece> pieces)
    : model_(&model), pieces_(std::move(pieces)) {
  std::vector<std::vector<bool>> held;
  for (const std::vector<float>& zeros : zero_tensors(model)) held.emplace_back(zeros.size());
  for (const TensorPiece& piece : pieces_) {
    if (piece.tensor < 0 || static_cast<std::size_t>(piece.tensor) >= held.size()) {
      reject(
          fmt::format("a placement names tensor {}, the model has {}", piece.tensor, held.size()));
    }
    const Parameter& whole = model.parameters()[static_cast<std::size_t>(piece.tensor)];
    if (piece.row < 0 || piece.column < 0 || piece.columns < 1 ||
        piece.column + piece.columns > whole.columns) {
      reject(parameter_name(model, piece.tensor) + ": a placement lies outside the tensor");
    }
    std::vector<bool>& tensor = held[static_cast<std::size_t>(piece.tensor)];
    for (std::size_t i = 0; i < elements(piece); ++i) {
      if (place(piece, i) >= tensor.size()) {
        reject(parameter_name(model, piece.tensor) + ": a placement lies outside the tensor");
      }
      tensor[place(piece, i)] = true;
    }
  }
  for (std::size_t i = 0; i < held.size(); ++i) {
    if (std::find(held[i].begin(), held[i].end(), false) == held[i].end()) continue;
    reject(parameter_name(model, static_cast<std::int32_t>(i)) +
           ": some of it lies in no buffer, or is never updated");
  }
}

std::size_t TensorMap::place(const TensorPiece& piece, std::size_t element) const {
  const std::int64_t i = piece.first + static_cast<std::int64_t>(element);
  const std::int64_t width = model_->parameters()[static_cast<std::size_t>(piece.tensor)].columns;
  return static_cast<std::size_t>((piece.row + i / piece.columns) * width + piece.column +
                                  i % piece.columns);
}

void TensorMap::scatter(const Tensors& tensors, Executor& executor) const {
  std::vector<float> part;
  for (const TensorPiece& piece : pieces_) {
    part.resize(elements(piece));
    const std::vector<float>& tensor = tensors[static_cast<std::size_t>(piece.tensor)];
    for (std::size_t i = 0; i < part.size(); ++i) part[i] = tensor[place(piece, i)];
    executor.write(piece.range, std::as_bytes(std::span(part)));
  }
}

TensorMap::Gathered TensorMap::gather(const Executor& executor) const {
  Gathered result{.tensors = zero_tensors(*model_)};
  std::vector<std::vector<bool>> held;
  for (const std::vector<float>& tensor : result.tensors) held.emplace_back(tensor.size());
  std::vector<float> part;
  for (const TensorPiece& piece : pieces_) {
    part.resize(elements(piece));
    executor.read(piece.range, std::as_writable_bytes(std::span(part)));
    for (std::size_t i = 0; i < part.size(); ++i) {
      const std::size_t at = place(piece, i);
      float& value = result.tensors[static_cast<std::size_t>(piece.tensor)][at];
      auto known = held[static_cast<std::size_t>(piece.tensor)][at];
      if (!known) value = part[i];
      known = true;
      result.divergence = std::max(result.divergence, difference(value, part[i]));
    }
  }
  return result;
}

TensorMap weight_map(const OpGraph& model, const TaskGraph& graph) {
  std::vector<TensorPiece> pieces;
  for (const Placement& placement : graph.placements) {
    if (placement.role != Placement::Role::parameter) continue;
    if (placement.range.bytes.count != placement.rows * placement.columns * kElement) {
      reject(fmt::format("{}: a placement of {} x {} numbers has {} bytes",
                         described(graph, placement.range.buffer), placement.rows,
                         placement.columns, placement.range.bytes.count));
    }
    pieces.push_back({.range = placement.range,
                      .tensor = placement.tensor,
                      .row = placement.row,
                      .column = placement.column,
                      .columns = placement.columns});
  }
  return {model, std::move(pieces)};
}

TensorMap state_map(const OpGraph& model, const TaskGraph& graph, Optimizer optimizer, int slot) {
  const TensorMap weights = weight_map(model, graph);
  std::vector<TensorPiece> pieces;
  for (const TaskId task : graph.order) {
    if (!is_update(graph, task)) continue;
    check_optimizer(graph, task, optimizer);
    const auto writes = graph.writes[index(task)];
    for (const TensorPiece& piece : weights.pieces()) {
      add_overlap(pieces, piece, writes[0], writes[static_cast<std::size_t>(slot) + 1]);
    }
  }
  return {model, std::move(pieces)};
}

}  // namespace foreplan
