; run: scalify quantize settle --recipe f32 --cache f8e4m3fn
; rtol 0.3
graph @cache(%x: f32[1,8], %k: f32[s,8], %o: f32[s,8]) -> (%y, %z) {
  state @past (%past: f32[p,8] up to p = 64 -> %all)
  state @other (%other: f32[q,8] up to q = 64 -> %2)
  %all = concat %past, %k {axis = 0} : f32[p+s,8] from "append"
  %1 = transpose %all {perm = [1,0]} : f32[8,p+s] from "turn"
  %s = matmul %x, %1 : f32[1,p+s] from "scores"
  %y = matmul %s, %all : f32[1,8] from "mix"
  %z = reduce_sum %all {axes = [0]} : f32[1,8] from "sum"
  %d = concat %other, %o {axis = 0} : f32[q+s,8]
  %2 = relu %d : f32[q+s,8]
}
; --- what is appended is cast once, products read what is stored, and what is not only appended to stays
graph @cache [scaled, quantized] (%x: f32[1,8], %k: f32[s,8], %o: f32[s,8]) -> (%y, %z) {
  state @past (%past: f8e4m3fn[p,8] up to p = 64 -> %all)
  state @other (%other: f32[q,8] up to q = 64 -> %15)
  %7 = cast %k : f8e4m3fn[s,8] from "append"
  %all = concat %past, %7 {axis = 0} : f8e4m3fn[p+s,8] from "append"
  %9 = cast %all : f32[p+s,8] from "append"
  %10 = transpose %all {perm = [1,0]} : f8e4m3fn[8,p+s] from "turn"
  %s = matmul %x, %10 : f32[1,p+s] from "scores"
  %y = matmul %s, %all : f32[1,8] from "mix"
  %z = reduce_sum %9 {axes = [0]} : f32[1,8] from "sum"
  %d = concat %other, %o {axis = 0} : f32[q+s,8]
  %15 = relu %d : f32[q+s,8]
}
