; run: scalify quantize settle --recipe f16
; rtol 0.01
graph @cache(%x: f32[1,8], %k: f32[s,8], %past: f32[p,8]) -> (%y, %all) {
  %w = const [1,2,3,4,5,6,7,8] as f32[8] : f32[8,1]
  %all = concat %past, %k {axis = 0} : f32[p+s,8]
  %1 = transpose %all {perm = [1,0]} : f32[8,p+s] from "turn"
  %2 = matmul %x, %1 : f32[1,p+s] from "scores"
  %3 = matmul %2, %all : f32[1,8] from "mix"
  %y = matmul %3, %w : f32[1,1] from "out"
}
; --- so does a cache that the caller hands in and gets back
graph @cache [scaled, quantized] (%x: f32[1,8], %k: f32[s,8], %past: f32[p,8]) -> (%y, %all) {
  %all = concat %past, %k {axis = 0} : f32[p+s,8]
  %6 = transpose %all {perm = [1,0]} : f32[8,p+s] from "turn"
  %7 = matmul %x, %6 : f32[1,p+s] from "scores"
  %8 = matmul %7, %all : f32[1,8] from "mix"
  %9 = rebalance %8, floordiv(log2(p+s),2)-1 : f32[1,8] * 2^(floordiv(log2(p+s),2)-1) from "out"
  %10 = cast %9 : f16[1,8] * 2^(floordiv(log2(p+s),2)-1) from "out"
  %w = const [1,2,3,4,5,6,7,8] as f32[8] : f16[8,1] * 2^-12
  %12 = matmul %10, %w {out = f32} : f32[1,1] * 2^(floordiv(log2(p+s),2)-13) from "out"
  %y = rebalance %12, 0 : f32[1,1] from "out"
}
