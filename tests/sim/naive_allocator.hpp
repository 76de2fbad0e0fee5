#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace foreplan {

/// The rules of CachingAllocator, told again without any index: a list of segments, each a list of blocks,
/// all of which every call walks through.
class NaiveAllocator {
 public:
  explicit NaiveAllocator(std::int64_t capacity) : capacity_(capacity) {}

  /// The address; -1: out of memory.
  std::int64_t allocate(std::int64_t bytes, int stream) {
    const std::int64_t size = (bytes + 511) / 512 * 512;
    const bool small = size <= kMiB;
    Cell* cell = smallest(size, small, stream);
    if (cell == nullptr) cell = add_segment(size, small, stream);
    if (cell == nullptr) {
      ++retries_;
      std::erase_if(segments_,
                    [](const Segment& s) { return s.cells.size() == 1 && !s.cells[0].live; });
      cell = add_segment(size, small, stream);
    }
    return cell == nullptr ? -1 : take(*cell, size, small);
  }

  void free(std::int64_t address) {
    for (Segment& segment : segments_) {
      for (Cell& cell : segment.cells) {
        if (cell.live && cell.address == address) cell.live = false;
      }
      std::vector<Cell> merged;
      for (const Cell& cell : segment.cells) {
        if (!merged.empty() && !merged.back().live && !cell.live) {
          merged.back().size += cell.size;
        } else {
          merged.push_back(cell);
        }
      }
      segment.cells = merged;
    }
  }

  std::int64_t reserved() const { return sum(false); }
  std::int64_t allocated() const { return sum(true); }
  std::int64_t retries() const { return retries_; }

  /// Address and size of each block, the size of a free one negative.
  std::vector<std::pair<std::int64_t, std::int64_t>> layout() const {
    std::vector<std::pair<std::int64_t, std::int64_t>> all;
    for (const Segment& segment : segments_) {
      for (const Cell& cell : segment.cells) {
        all.emplace_back(cell.address, cell.live ? cell.size : -cell.size);
      }
    }
    std::sort(all.begin(), all.end());
    return all;
  }

 private:
  static constexpr std::int64_t kMiB = 1 << 20;
  struct Cell {
    std::int64_t address = 0, size = 0;
    bool live = false;
  };
  struct Segment {
    bool small = false;
    int stream = 0;
    std::vector<Cell> cells;
  };

  Cell* smallest(std::int64_t size, bool small, int stream) {
    Cell* best = nullptr;
    for (Segment& segment : segments_) {
      if (segment.small != small || segment.stream != stream) continue;
      for (Cell& cell : segment.cells) {
        if (cell.live || cell.size < size) continue;
        const auto rank = [](const Cell& c) { return std::pair(c.size, c.address); };
        if (best == nullptr || rank(cell) < rank(*best)) best = &cell;
      }
    }
    return best;
  }

  Cell* add_segment(std::int64_t size, bool small, int stream) {
    std::int64_t bytes = 2 * kMiB;
    if (!small)
      bytes = size < 10 * kMiB ? 20 * kMiB : (size + 2 * kMiB - 1) / (2 * kMiB) * 2 * kMiB;
    if (reserved() + bytes > capacity_) return nullptr;
    segments_.push_back({small, stream, {{.address = next_, .size = bytes}}});
    next_ += bytes;
    return &segments_.back().cells.front();
  }

  std::int64_t take(Cell& cell, std::int64_t size, bool small) {
    const std::int64_t address = cell.address, left = cell.size - size;
    cell.live = true;
    if (small ? left >= 512 : left > kMiB) {
      cell.size = size;
      for (Segment& segment : segments_) {
        const auto at = std::find_if(segment.cells.begin(), segment.cells.end(),
                                     [&](const Cell& c) { return c.address == address; });
        if (at == segment.cells.end()) continue;
        segment.cells.insert(at + 1, {.address = address + size, .size = left});
        break;
      }
    }
    return address;
  }

  std::int64_t sum(bool only_live) const {
    std::int64_t total = 0;
    for (const Segment& segment : segments_) {
      for (const Cell& cell : segment.cells) {
        if (cell.live || !only_live) total += cell.size;
      }
    }
    return total;
  }

  std::int64_t capacity_, next_ = 0, retries_ = 0;
  std::vector<Segment> segments_;
};

}  // namespace foreplan
