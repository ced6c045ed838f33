; run: fuse
graph @g(%x: f32[b,s,8]) -> (%y) {
  %w = const @w : f8e4m3fn[8,16]
  %k = const @k : f8e8m0[2,16]
  %c = const @c : f32[16]
  %f = reshape %x {shape = [b*s,8]} : f32[b*s,8] from "flat"
  %1 = block_matmul %f, %w, %k {block = 4} : f32[b*s,16] from "gemm"
  %2 = add %1, %c : f32[b*s,16] from "gemm"
  %y = reshape %2 {shape = [b,s,16]} : f32[b,s,16] from "back"
}
; --- the row that knows the scales of blocks takes rows of two extents itself
graph @g(%x: f32[b,s,8]) -> (%6 as y) {
  %w = const @w : f8e4m3fn[8,16]
  %k = const @k : f8e8m0[2,16]
  %c = const @c : f32[16]
  %6 = kernel %x, %w, %k, %c {class = contract} : f32[b,s,16] from "gemm"
    graph @contract(%2: f32[b,s,8], %3: f8e4m3fn[8,16], %4: f8e8m0[2,16], %5: f32[16]) -> (%7 as y0) {
      %6 = block_matmul %2, %3, %4 {block = 4} : f32[b,s,16]
      %7 = add %6, %5 : f32[b,s,16]
    }
}
