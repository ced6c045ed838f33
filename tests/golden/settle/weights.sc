; run: scalify quantize settle --recipe fp8-weights --scale tensor
; rtol 0.1
; blob u rms 0.02
; blob v rms 3
graph @g(%x: f32[2,64]) -> (%y, %z) {
  %u = const @u : f32[64,10]
  %v = const @v : f32[64,10]
  %s = matmul %x, %u : f32[2,10]
  %t = matmul %x, %v : f32[2,10]
  %a = add %s, %t : f32[2,10]
  %y = relu %a : f32[2,10]
  %half = const 0.5 : f32[]
  %z = max %s, %half : f32[2,10]
}
; --- the exponent of a stored weight leaves behind its product: it does not add up from layer to layer
graph @g(%x: f32[2,64]) -> (%y, %z) {
  %u = const @u : f8e4m3fn[64,10] * 2^-12
  %s = matmul %x, %u : f32[2,10] * 2^-12
  %5 = rebalance %s, 0 : f32[2,10]
  %v = const @v : f8e4m3fn[64,10] * 2^-5
  %t = matmul %x, %v : f32[2,10] * 2^-5
  %8 = rebalance %t, 0 : f32[2,10]
  %a = add %5, %8 : f32[2,10]
  %y = relu %a : f32[2,10]
  %half = const 0.5 : f32[]
  %z = max %5, %half : f32[2,10]
}
