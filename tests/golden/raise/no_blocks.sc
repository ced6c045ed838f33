; run: raise
graph @g(%x: f32[2,4]) -> (%p) {
  %c = const [1,2,-3,4,5,6,-7,8,1,2,3,-4,5,6,7,8] : f32[4,4]
  %s = const [1,2,0.5,0.25] as f8e8m0[1,4] : f8e8m0[1,4]
  %a = dequantize %c, %s {axis = 0, block = 4} : f32[4,4] from "dq"
  %p = matmul %x, %a : f32[2,4] from "p"
}
; --- numbers in f32 are no codes, though they have scales
graph @g(%x: f32[2,4]) -> (%p) {
  %c = const [1,2,-3,4,5,6,-7,8,1,2,3,-4,5,6,7,8] : f32[4,4]
  %s = const [1,2,0.5,0.25] : f8e8m0[1,4]
  %a = dequantize %c, %s {axis = 0, block = 4} : f32[4,4] from "dq"
  %p = matmul %x, %a : f32[2,4] from "p"
}
