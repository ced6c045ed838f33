; run: fuse
graph @g [scaled, quantized] (%x: f32[1,1,8,8]) -> (%y) {
  %w = const @w : f32[2,1,3,3]
  %v = const @v : f8e4m3fn[18,5] * 2^-3
  %1 = conv %x, %w {strides = [1,1], pads = [0,0,0,0], dilations = [1,1]} : f32[1,2,6,6] from "Conv"
  %2 = relu %1 : f32[1,2,6,6] from "Relu"
  %3 = maxpool %2 {kernel_shape = [2,2], strides = [2,2], pads = [0,0,0,0], dilations = [1,1]} : f32[1,2,3,3] from "MaxPool"
  %4 = transpose %3 {perm = [0,2,3,1]} : f32[1,3,3,2] from "Transpose"
  %5 = reshape %4 : f32[1,18] from "Reshape"
  %6 = rebalance %5, 1 : f32[1,18] * 2^1
  %7 = cast %6 : f8e4m3fn[1,18] * 2^1
  %8 = matmul %7, %v : f32[1,5] * 2^-2 from "MatMul"
  %y = rebalance %8, 0 : f32[1,5]
}
; --- rebalance and cast go before the views, into the pool's kernel
graph @g(%x: f32[1,1,8,8]) -> (%y) {
  %w = const @w : f32[2,1,3,3]
  %4 = kernel %x, %w {class = conv} : f32[1,2,6,6] from "Conv", "Relu"
    graph @conv [scaled, quantized] (%2: f32[1,1,8,8], %3: f32[2,1,3,3]) -> (%5 as y0) {
      %4 = conv %2, %3 {strides = [1,1], pads = [0,0,0,0], dilations = [1,1]} : f32[1,2,6,6]
      %5 = relu %4 : f32[1,2,6,6]
    }
  %5 = kernel %4 {class = pool} : f8e4m3fn[1,2,3,3] * 2^1 from "MaxPool"
    graph @pool(%2: f32[1,2,6,6]) -> (%5 as y0) {
      %3 = maxpool %2 {kernel_shape = [2,2], strides = [2,2], pads = [0,0,0,0], dilations = [1,1]} : f32[1,2,3,3]
      %4 = rebalance %3, 1 : f32[1,2,3,3] * 2^1
      %5 = cast %4 : f8e4m3fn[1,2,3,3] * 2^1
    }
  %6 = kernel %5 {class = view} : f8e4m3fn[1,3,3,2] * 2^1 from "Transpose"
    graph @view(%2: f8e4m3fn[1,2,3,3] * 2^1) -> (%3 as y0) {
      %3 = transpose %2 {perm = [0,2,3,1]} : f8e4m3fn[1,3,3,2] * 2^1
    }
  %v = const @v : f8e4m3fn[18,5] * 2^-3
  %y = kernel %6, %v {class = contract} : f32[1,5] from "Reshape", "MatMul"
    graph @contract(%2: f8e4m3fn[1,3,3,2] * 2^1, %3: f8e4m3fn[18,5] * 2^-3) -> (%6 as y0) {
      %4 = reshape %2 : f8e4m3fn[1,18] * 2^1
      %5 = matmul %4, %3 : f32[1,5] * 2^-2
      %6 = rebalance %5, 0 : f32[1,5]
    }
}
