#include "planner/parameter_layout.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/planner/models.hpp"

namespace foreplan {
namespace {

using ::testing::ElementsAre;

ParameterLayout layout_of(const OpGraph& model, const BucketSizes& sizes = {}, int tp = 1,
                          int t = 0) {
  return layout_parameters(model, shard(model, tp), {{0, static_cast<int>(model.size())}}, {tp, t},
                           sizes);
}

// Bytes: fc1 weight 4 x 784 x 128 = 401408 (6272 cache lines), fc1 bias 512 (8 lines), fc2 weight
// 4 x 128 x 10 = 5120 (80 lines), fc2 bias 40 (no whole line). Together 407080 < 1 MiB: one bucket.
// Last layer first, those of whole lines before the others: fc2 weight at 0, fc1 bias at 5120, fc1
// weight at 5632, fc2 bias at 407040.
TEST(LayoutParameters, OfMnistMlpMatchesAHandComputedCase) {
  const ParameterLayout layout = layout_of(mnist_mlp());
  EXPECT_THAT(layout.buckets, ElementsAre(Bytes{407080}));
  ASSERT_EQ(layout.places.size(), 4U);
  const std::int64_t offsets[] = {5632, 5120, 0, 407040};
  for (std::size_t tensor = 0; tensor < 4; ++tensor) {
    EXPECT_EQ(layout.places[tensor].tensor, static_cast<std::int32_t>(tensor));
    EXPECT_EQ(layout.places[tensor].bucket, 0);
    EXPECT_EQ(layout.places[tensor].offset, Bytes{offsets[tensor]});
  }
}

// The first bucket takes fc2 bias (40 B) and, not full, fc2 weight: 5160 B >= 4000 B closes it. The
// second takes fc1 bias (512 B < 300000 B) and fc1 weight, which fills it.
TEST(LayoutParameters, ClosesABucketWithTheTensorThatFillsIt) {
  const ParameterLayout layout =
      layout_of(mnist_mlp(), {.first = Bytes{4000}, .others = Bytes{300'000}});
  EXPECT_THAT(layout.buckets, ElementsAre(Bytes{5160}, Bytes{401'920}));
  EXPECT_EQ(layout.places[3].bucket, 0);
  EXPECT_EQ(layout.places[2].bucket, 0);
  EXPECT_EQ(layout.places[1].bucket, 1);
  EXPECT_EQ(layout.places[0].bucket, 1);
}

// A cap of exactly the first tensor: it alone fills the bucket.
TEST(LayoutParameters, ClosesAFullBucketAtOnce) {
  const ParameterLayout layout = layout_of(mnist_mlp(), {.first = Bytes{40}, .others = Bytes{1}});
  EXPECT_THAT(layout.buckets, ElementsAre(Bytes{40}, Bytes{5120}, Bytes{512}, Bytes{401'408}));
}

// mlp-4x1024 with the usual sizes: fc4 bias 4 KiB, then fc4 weight 4 MiB fills the first bucket of
// 1 MiB. The rest, 3 (4 MiB + 4 KiB), stays below 25 MiB.
TEST(LayoutParameters, KeepsTheFirstBucketSmall) {
  constexpr std::int64_t kLayer = (4 << 20) + (4 << 10);
  EXPECT_THAT(layout_of(mlp({1024, 1024, 1024, 1024, 1024})).buckets,
              ElementsAre(Bytes{kLayer}, Bytes{3 * kLayer}));
}

// On rank 1 of 2: fc1 by columns (64 of 128), fc2 by rows (64 of 128), fc2's bias whole.
// 4 (784 x 64 + 64 + 64 x 10 + 10) = 4 x 50890 = 203560.
TEST(LayoutParameters, HoldsTheRanksPartOnly) {
  const ParameterLayout layout = layout_of(mnist_mlp(), {}, 2, 1);
  EXPECT_THAT(layout.buckets, ElementsAre(Bytes{203'560}));
  EXPECT_EQ(layout.places[0].shard.column, 64);
  EXPECT_EQ(layout.places[2].shard.row, 64);
  EXPECT_EQ(layout.places[3].shard.columns, 10);
}

TEST(LayoutParameters, HoldsTheStagesLayersOnly) {
  const OpGraph model = mnist_mlp();
  const auto stage = layout_parameters(model, shard(model, 1), {{2, 4}}, {1, 0}, {});
  EXPECT_THAT(stage.buckets, ElementsAre(Bytes{5160}));
  const auto nothing = layout_parameters(model, shard(model, 1), {{1, 2}}, {1, 0}, {});
  EXPECT_TRUE(nothing.buckets.empty());
  EXPECT_TRUE(nothing.places.empty());
}

Bytes bytes_of(const ParameterPlace& place) { return Bytes{4 * place.shard.elements()}; }

/// Each bucket is covered without gap or overlap, tensors of whole cache lines first.
void expect_packed(const ParameterLayout& layout) {
  std::map<int, std::vector<ParameterPlace>> buckets;
  for (const ParameterPlace& place : layout.places) buckets[place.bucket].push_back(place);
  ASSERT_EQ(buckets.size(), layout.buckets.size());
  for (auto& [bucket, places] : buckets) {
    std::sort(places.begin(), places.end(),
              [](const auto& a, const auto& b) { return a.offset < b.offset; });
    Bytes end;
    for (const ParameterPlace& place : places) {
      EXPECT_EQ(place.offset, end);
      if (bytes_of(place).count % 64 == 0) {
        EXPECT_EQ(place.offset.count % 64, 0);
      }
      end += bytes_of(place);
    }
    EXPECT_EQ(end, layout.buckets[static_cast<std::size_t>(bucket)]);
  }
}

TEST(LayoutParameters, PacksEveryParameterOnceWhateverTheSizes) {
  const OpGraph model = every_kind(24);
  for (const int tp : {1, 2, 3}) {
    for (const std::int64_t first : {1, 100, 1000, 10'000, 1'000'000}) {
      for (const std::int64_t others : {1, 3000, 1'000'000}) {
        const auto layout = layout_of(model, {Bytes{first}, Bytes{others}}, tp, tp - 1);
        EXPECT_EQ(layout.places.size(), model.parameters().size());
        expect_packed(layout);
      }
    }
  }
}

// Backward is done with later tensors first: they are in earlier buckets.
TEST(LayoutParameters, PutsLaterTensorsIntoEarlierBuckets) {
  const auto layout = layout_of(every_kind(24), {Bytes{500}, Bytes{3000}});
  for (std::size_t i = 1; i < layout.places.size(); ++i) {
    EXPECT_EQ(layout.places[i].tensor, static_cast<std::int32_t>(i));
    EXPECT_LE(layout.places[i].bucket, layout.places[i - 1].bucket);
  }
  EXPECT_LT(layout.places.back().bucket, layout.places.front().bucket);
}

// All buckets but the last are full, and would not be without the tensor that closed them (the last in
// order of readiness: the lowest index).
TEST(LayoutParameters, FillsEveryBucketButTheLast) {
  const OpGraph model = every_kind(24);
  const BucketSizes sizes{Bytes{500}, Bytes{5000}};
  const ParameterLayout layout = layout_of(model, sizes);
  ASSERT_GT(layout.buckets.size(), 2U);
  for (std::size_t bucket = 0; bucket + 1 < layout.buckets.size(); ++bucket) {
    const auto closing = std::find_if(
        layout.places.begin(), layout.places.end(),
        [&](const ParameterPlace& place) { return place.bucket == static_cast<int>(bucket); });
    const Bytes cap = bucket == 0 ? sizes.first : sizes.others;
    EXPECT_GE(layout.buckets[bucket], cap);
    EXPECT_LT(layout.buckets[bucket] - bytes_of(*closing), cap);
  }
}

}  // namespace
}  // namespace foreplan
