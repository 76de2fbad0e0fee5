#include "planner/working_set.hpp"

#include <algorithm>
#include <functional>

namespace foreplan {
namespace {

Bytes sum_of(const std::vector<Bytes>& tensors) {
  Bytes sum;
  for (const Bytes bytes : tensors) sum += bytes;
  return sum;
}

/// The largest of `tensors`, adding up to `total`; what is less than one at the end is one.
std::vector<Bytes> cut(std::vector<Bytes> tensors, Bytes total) {
  std::sort(tensors.begin(), tensors.end(), std::greater<>());
  std::vector<Bytes> kept;
  for (const Bytes bytes : tensors) {
    const Bytes part = std::min(bytes, total);
    if (part <= Bytes{}) break;
    kept.push_back(part);
    total -= part;
  }
  if (total > Bytes{}) kept.push_back(total);
  return kept;
}

class Walk {
 public:
  explicit Walk(const WorkingUnit& unit)
      : unit_(unit), kept_(unit.layers.size()), last_reader_(unit.layers.size()) {
    for (const WorkingItem& item : unit.items) {
      saved_ += item.bytes;
      if (!item.tensor) continue;
      if (*item.tensor) {
        kept_[**item.tensor] = true;
      } else {
        entering_kept_ = true;
      }
    }
    for (std::size_t i = 0; i < unit.layers.size(); ++i) {
      last_reader_[i] = i;
      for (const auto& input : unit.layers[i].inputs) (input ? last_reader_[*input] : enters_) = i;
    }
  }

  void forward(WorkingSet& set) {
    Bytes kept = entering_kept_ ? unit_.entering : Bytes{};
    bool entering = !entering_kept_;
    std::vector<bool> live(unit_.layers.size());
    const std::size_t last = unit_.layers.size() - 1;
    const auto loose = [&](std::size_t i) {
      std::vector<Bytes> tensors = unit_.layers[i].forward_temporary;
      if (entering) tensors.push_back(unit_.entering);
      for (std::size_t j = 0; j <= i; ++j) {
        if (live[j]) tensors.push_back(unit_.layers[j].output);
      }
      return tensors;
    };
    for (std::size_t i = 0; i < unit_.layers.size(); ++i) {
      kept += made_by(i) + (kept_[i] ? unit_.layers[i].output : Bytes{});
      live[i] = !kept_[i];
      note(set.forward, set.forward_tensors, loose(i), kept - saved_);
      for (std::size_t j = 0; j <= i; ++j) {
        if (j != last && last_reader_[j] == i) live[j] = false;
      }
      if (enters_ == i) entering = false;
    }
  }

  void backward(WorkingSet& set) {
    const std::size_t count = unit_.layers.size();
    gradient_.assign(count, std::nullopt);
    gradient_[count - 1] = unit_.layers.back().output;
    Bytes kept = saved_;
    for (std::size_t i = count; i-- > 0;) {
      const WorkingLayer& layer = unit_.layers[i];
      std::vector<Bytes> tensors = layer.backward_temporary;
      if (layer.passes_gradient) {
        hand_on(layer, i);
      } else {
        for (const auto& input : layer.inputs) give(layer, input, tensors);
      }
      for (const auto& gradient : gradient_) tensors.push_back(gradient.value_or(Bytes{}));
      tensors.push_back(entering_gradient_.value_or(Bytes{}));
      note(set.backward, set.backward_tensors, std::move(tensors), kept - saved_);
      gradient_[i].reset();
      for (const WorkingItem& item : unit_.items) {
        if (item.owner == i) kept -= item.bytes;
      }
    }
  }

 private:
  /// Of what is live now beside what is kept: the most so far. `kept`: now, less than at the border.
  static void note(Bytes& most, std::vector<Bytes>& of_most, std::vector<Bytes> tensors,
                   Bytes kept) {
    const Bytes now = sum_of(tensors) + kept;
    if (now <= most) return;
    most = now;
    of_most = cut(std::move(tensors), now);
  }

  /// What a layer keeps beside outputs.
  Bytes made_by(std::size_t i) const {
    Bytes sum;
    for (const WorkingItem& item : unit_.items) {
      if (item.owner == i && !item.tensor) sum += item.bytes;
    }
    return sum;
  }

  using Place = std::optional<std::size_t>;
  std::optional<Bytes>& gradient_of(Place place) {
    return place ? gradient_[*place] : entering_gradient_;
  }
  Bytes size_of(Place place) const { return place ? unit_.layers[*place].output : unit_.entering; }

  /// One tensor goes by several names; it lives as long as the earliest of them.
  void hand_on(const WorkingLayer& layer, std::size_t i) {
    if (layer.inputs.empty()) return;
    const Place earliest = *std::min_element(layer.inputs.begin(), layer.inputs.end());
    for (const Place input : layer.inputs) {
      std::optional<Bytes>& gradient = gradient_of(input);
      if (!gradient) gradient = input == earliest ? size_of(input) : Bytes{};
    }
    gradient_[i] = Bytes{};
  }

  void give(const WorkingLayer& layer, Place input, std::vector<Bytes>& temporary) {
    std::optional<Bytes>& gradient = gradient_of(input);
    if (gradient) {
      temporary.push_back(size_of(input));
    } else {
      gradient = layer.in_place ? Bytes{} : size_of(input);
    }
  }

  const WorkingUnit& unit_;
  Bytes saved_{};
  std::vector<bool> kept_;
  std::vector<std::size_t> last_reader_;
  std::size_t enters_ = 0;
  bool entering_kept_ = false;
  std::vector<std::optional<Bytes>> gradient_;  ///< of outputs, as long as they live
  std::optional<Bytes> entering_gradient_{};
};

}  // namespace

WorkingSet working_set(const WorkingUnit& unit) {
  WorkingSet set;
  if (unit.layers.empty()) return set;
  Walk(unit).forward(set);
  Walk(unit).backward(set);
  return set;
}

}  // namespace foreplan
