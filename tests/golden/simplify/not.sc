; run: simplify
; idempotent
graph @g(%x: f32[3], %s: f32[]) -> (%a, %b, %c, %d) {
  %zero = const [0,0,0] : f32[3]
  %most = const [1,1,2] : f32[3]
  %nan = const nan : f32[]
  %a = add %s, %zero : f32[3] from "broadcasts"
  %b = mul %x, %most : f32[3] from "not all 1"
  %1 = relu %x : f32[3] from "relu"
  %2 = neg %1 : f32[3] from "neg"
  %c = abs %2 : f32[3] from "abs of what is not positive"
  %d = add %x, %nan : f32[3] from "nan"
}
; --- near misses stay
graph @g(%x: f32[3], %s: f32[]) -> (%a, %b, %c, %d) {
  %zero = const [0,0,0] : f32[3]
  %a = add %s, %zero : f32[3] from "broadcasts"
  %most = const [1,1,2] : f32[3]
  %b = mul %x, %most : f32[3] from "not all 1"
  %8 = relu %x : f32[3] from "relu"
  %9 = neg %8 : f32[3] from "neg"
  %c = abs %9 : f32[3] from "abs of what is not positive"
  %nan = const nan : f32[]
  %d = add %x, %nan : f32[3] from "nan"
}
