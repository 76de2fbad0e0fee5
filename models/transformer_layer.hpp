#pragma once

#include <string>

#include "models/graph_writer.hpp"
#include "models/transformer.hpp"

namespace foreplan {

/// Writes the layers of one block of a transformer.
class TransformerLayerWriter {
 public:
  /// @param rows  of what the block reads and writes
  TransformerLayerWriter(const TransformerShape& shape, GraphWriter& writer, Positions rows)
      : shape_(shape), writer_(writer), rows_(rows) {}

  LayerId norm(const std::string& name, LayerId x, std::int64_t features,
               const NormShape& shape = {});
  LayerId linear(const std::string& name, LayerId x, std::int64_t in, std::int64_t out, bool bias);
  /// As wide as what it reads.
  LayerId unary(const std::string& name, LayerKind kind, LayerId x, std::int64_t features);
  LayerId add(const std::string& name, LayerId a, LayerId b);
  LayerId dropout_if(bool drops, const std::string& name, LayerId x, std::int64_t features);

  /// A whole residual block.
  /// @param attention  of this layer: the first may have a bias by distance
  /// @param encoder    what a decoder's second attention reads
  void layer(const TransformerLayer& layer, const TransformerAttention& attention,
             std::optional<LayerId> encoder);

 private:
  /// What stands on one branch of the residual stream: a norm before, f, a norm behind, dropout.
  template <typename F>
  LayerId branch(const std::string& name, LayerId x, F f);
  template <typename F>
  LayerId residual(const std::string& name, LayerId x, F f);

  LayerId parallel(const TransformerLayer& layer, const TransformerAttention& attention);
  LayerId self_attention(LayerId x, const TransformerLayer& layer,
                         const TransformerAttention& attention);
  LayerId cross_attention(LayerId x, LayerId encoder);
  LayerId latent_attention(LayerId x, const TransformerLayer& layer,
                           const TransformerAttention& attention);
  LayerId latent_queries(LayerId x, const TransformerAttention& attention);
  LayerId attention_layer(const std::string& name, const AttentionShape& shape,
                          std::vector<LayerId> operands);
  AttentionShape attention_shape(const TransformerLayer& layer,
                                 const TransformerAttention& attention) const;
  LayerId heads_of(const std::string& name, LayerId x, std::int64_t heads,
                   const TransformerAttention& attention);

  LayerId feed_forward(LayerId x, const TransformerLayer& layer);
  LayerId mlp(const std::string& prefix, LayerId x, std::int64_t features);
  LayerId mixture(LayerId x);
  LayerId route(const std::string& name, LayerKind kind, const ExpertShape& experts,
                std::vector<LayerId> inputs);
  LayerId expert_mlp(LayerId x);
  LayerId shared_experts(LayerId x, LayerId routed);
  LayerId expert_linear(const std::string& name, LayerId x, std::int64_t in, std::int64_t out);

  const TransformerShape& shape_;
  GraphWriter& writer_;
  Positions rows_;
};

}  // namespace foreplan
